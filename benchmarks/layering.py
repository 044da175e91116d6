"""What each layering strategy costs while a repository's images are released forty times.

The repository, its real metadata and the script of changes are in ``release_history``. All that is
counted are bytes, so every run gives the same numbers. Run it with Python 3.9 or newer:

    PYTHONPATH=src/python python3 benchmarks/layering.py
    PYTHONPATH=src/python python3 benchmarks/layering.py --variants
    PYTHONPATH=src/python python3 benchmarks/layering.py --planning

``--variants`` replays other scripts of changes, made by the same policy with other numbers.
``--planning`` measures how long plans of 5,000 and 10,000 objects take.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from release_history.history import load_gathered, load_history, replayed
from release_history.replay import Planner, Replay, Totals, ideal
from release_history.write_releases import Policy, changes

from strata.layering import stable
from strata.layering.auto_layer import auto_layer
from strata.layering.plan import STRATEGIES, PlanSettings, plan_layers
from strata.model import Graph, ImageObject

MAX_LAYERS = 100
_Plans = Dict[str, List[Tuple[str, ...]]]


def strategy(name: str, repository: bool = False, max_layers: int = MAX_LAYERS) -> Planner:
    """One of ours, looking at all images of the repository if ``repository``."""

    def plan(images: Mapping[str, Graph]) -> _Plans:
        holders: Dict[str, List[str]] = {}
        for image, graph in sorted(images.items()):
            for item in graph.objects:
                holders.setdefault(item, []).append(image)
        settings = PlanSettings(max_layers, name, images=holders if repository else {})
        return {
            image: [layer.members for layer in plan_layers(graph, settings)]
            for image, graph in images.items()
        }

    return plan


def nix_popularity(images: Mapping[str, Graph]) -> _Plans:
    """dockerTools' default until 2024: the contest, and all that is left in one layer."""
    pipeline: Sequence[Any] = [["popularity_contest"], ["limit_layers", MAX_LAYERS - 1]]
    settings = PlanSettings(MAX_LAYERS, pipeline)
    return {
        image: [layer.members for layer in plan_layers(graph, settings)]
        for image, graph in images.items()
    }


def nix_auto_layer(images: Mapping[str, Graph]) -> _Plans:
    return {image: auto_layer(graph, MAX_LAYERS - 1) for image, graph in images.items()}


def dockerfile(images: Mapping[str, Graph]) -> _Plans:
    """Two layers, as written by hand: what is installed, and the code."""
    return {
        image: [
            tuple(n for n, item in graph.objects.items() if not item.first_party),
            tuple(n for n, item in graph.objects.items() if item.first_party),
        ]
        for image, graph in images.items()
    }


def contenders() -> Dict[str, Replay]:
    return {
        "one layer": Replay(strategy("single")),
        "Dockerfile of two layers": Replay(dockerfile, has_links=False),
        "Nix popularity": Replay(nix_popularity),
        "Nix auto-layer": Replay(nix_auto_layer),
        "`stable`": Replay(strategy("stable")),
        "`stable`, whole repository": Replay(strategy("stable", repository=True)),
    }


def row(name: str, totals: Totals, best: Totals, rival: Totals) -> str:
    releases = len(totals.pushed)
    cells = [
        name,
        _mega(sum(totals.pushed) / releases),
        f"{sum(totals.pushed) / sum(best.pushed):.2f}",
        _mega(sum(totals.by_chain) / releases),
        f"{sum(totals.by_chain) / sum(rival.by_chain):.2f}",
        _mega(sum(totals.by_blob) / releases),
        _mega(sum(totals.by_fleet) / releases),
        f"{totals.stored / best.stored:.2f}",
        f"{min(totals.layers)} to {max(totals.layers)}",
        f"{sum(totals.changed) / releases:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _mega(size: float) -> str:
    return f"{size / 1e6:,.2f}" if size < 1e7 else f"{size / 1e6:,.0f}"


def replay_variants() -> None:
    """The same repository with other habits: the heuristic was not made for one script."""
    gathered = load_gathered()
    variants = {
        "as committed": Policy(),
        "other code changes": Policy(seed=1),
        "no new wheels": Policy(wheels=0),
        "20 new wheels a week": Policy(wheels=20),
        "Debian's updates in one week": Policy(debian_weeks=(20,)),
        "Debian's updates every third week": Policy(debian_weeks=tuple(range(2, 41, 3))),
    }
    print("| script | pushed × ideal | by chain × Nix popularity | the same, whole repository |")
    print("|---|---|---|---|")
    for label, policy in variants.items():
        history = replayed(gathered, changes(gathered, policy))
        best, nix = ideal(history), Replay(nix_popularity).run(history)
        cells = []
        for repository in (False, True):
            ours = Replay(strategy("stable", repository)).run(history)
            cells.append(f"{sum(ours.pushed) / sum(best.pushed):.2f}")
            cells.append(f"{sum(ours.by_chain) / sum(nix.by_chain):.2f}")
        print(f"| {label} | {cells[0]} | {cells[1]} | {cells[2]}, {cells[3]} |", flush=True)


HEADER = (
    "| plan | pushed, MB | × ideal | pulled by chain, MB | × Nix popularity | by blob, MB "
    "| one node, all images, MB | stored × ideal | layers | changed |\n|---|" + "---|" * 9
)


def replay_all() -> None:
    history = load_history()
    first = history[0]
    names = {name for graph in first.images.values() for name in graph.objects}
    unpacked = {n: i.size for g in first.images.values() for n, i in g.objects.items()}
    print(
        f"{len(first.images)} images, {len(names)} objects, {sum(unpacked.values()) / 1e9:.2f} GB "
        f"unpacked, {sum(first.packed[n] for n in names) / 1e6:,.0f} MB packed; "
        f"{min(map(len, first.images.values()))} to {max(map(len, first.images.values()))} objects "
        f"in an image; {len(history) - 1} releases\n"
    )
    best = ideal(history)
    results = {name: replay.run(history) for name, replay in contenders().items()}
    print(HEADER)
    for name, totals in results.items():
        print(row(name, totals, best, results["Nix popularity"]))
    releases = len(best.pushed)
    print(
        f"\nIdeal: {_mega(sum(best.pushed) / releases)} MB pushed and "
        f"{_mega(sum(best.by_blob) / releases)} MB pulled by blob, without links; "
        f"{_mega(best.stored)} MB stored"
    )


def random_graph(count: int, references: int = 5) -> Graph:
    """Objects of all kinds, each of which refers to up to ``references`` earlier ones."""
    chance = random.Random(count)
    objects: List[ImageObject] = []
    edges: Dict[str, Iterable[str]] = {}
    for index in range(count):
        kind = chance.choice(("debian", "python", "python", "source"))
        size = int(chance.lognormvariate(12, 2.5))
        objects.append(ImageObject(f"{kind}:{index}", "1", size, kind == "source"))
        below = [objects[chance.randrange(index)].name for _ in range(references if index else 0)]
        edges[objects[-1].name] = below
    return Graph(objects, edges)


def measure_planning(rounds: int) -> None:
    print("| strategy | 5,000 objects, CPU s | 10,000 objects, CPU s | ratio |\n|---|---|---|---|")
    graphs = {count: random_graph(count) for count in (5_000, 10_000)}
    for name in STRATEGIES:
        least: Dict[int, float] = {}
        for _ in range(rounds):
            for count, graph in graphs.items():
                started = time.process_time()
                plan_layers(graph, PlanSettings(MAX_LAYERS, name))
                took = time.process_time() - started
                least[count] = min(took, least.get(count, took))
        small, large = least[5_000], least[10_000]
        print(f"| `{name}` | {small:.3f} | {large:.3f} | {large / small:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planning", action="store_true", help="measure how long plans take")
    parser.add_argument("--variants", action="store_true", help="replay other scripts of changes")
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts")
    parser.add_argument("--floor", type=int, default=stable.FLOOR, help="of `stable`, in bytes")
    arguments = parser.parse_args()
    stable.FLOOR = arguments.floor
    if arguments.planning:
        measure_planning(arguments.rounds)
    elif arguments.variants:
        replay_variants()
    else:
        replay_all()


if __name__ == "__main__":
    sys.exit(main())
