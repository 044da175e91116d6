"""Closure graphs to plan: the documented example and random ones."""

from __future__ import annotations

import random
from typing import Dict, List

from strata.model import Graph, ImageObject

#: The graph of the examples in Nix' documentation.
REFERENCES = {"A": "BG", "B": "CE", "C": "DE", "D": "F", "E": "F"}
SIZES = {"A": 1, "B": 5, "C": 20, "D": 3, "E": 50, "F": 100, "G": 2}


def example() -> Graph:
    return Graph([ImageObject(name, size=SIZES[name]) for name in SIZES], REFERENCES)


def random_graph(seed: int, count: int = 40, circles: bool = False) -> Graph:
    """Objects of all kinds and sizes, each of which refers to up to three earlier ones."""
    source = random.Random(seed)
    objects: List[ImageObject] = []
    references: Dict[str, List[str]] = {}
    for index in range(count):
        first_party = source.random() < 0.2
        kind = "source" if first_party else source.choice(("debian", "python"))
        word = source.choice(("libssl", "google", "jupyter", "x", "perl"))
        size = source.choice((100, 50_000, 3_000_000, 40_000_000))
        name = f"{kind}:{word}-{index}"
        if kind == "debian" and source.random() < 0.1:
            name = f"debian:libpython3.{index}-minimal"
        objects.append(ImageObject(name, "1", size, first_party))
        below = [objects[source.randrange(index)].name for _ in range(3)] if index else []
        references[name] = below
        if circles and below and source.random() < 0.2:
            references[below[0]] = [*references[below[0]], name]
    return Graph(objects, references)


def random_images(seed: int, graph: Graph) -> Dict[str, List[str]]:
    """Which of five images have each object; one of them has all."""
    source = random.Random(seed)
    return {
        name: ["this", *sorted(source.sample(("a", "b", "c", "d"), source.randrange(5)))]
        for name in graph.objects
    }
