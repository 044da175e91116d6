"""The closure graph of an image as its report has it: what refers to what, and from which roots."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from strata.model import Graph, ImageObject


def uppermost(names: Iterable[str], references: Mapping[str, Iterable[str]]) -> Tuple[str, ...]:
    """Those of ``names`` that no other of them refers to, sorted.

    Everything else in ``names`` is reached from these. Names that refer to each other in a circle
    count as one, and are all uppermost if nothing outside the circle refers to them.
    """
    chosen = set(names)
    graph = Graph(
        (ImageObject(name) for name in chosen),
        {name: chosen.intersection(references.get(name, ())) for name in chosen},
    )
    components = graph.components()
    home = {name: index for index, members in enumerate(components) for name in members}
    below = {
        home[target]
        for name, targets in graph.references.items()
        for target in targets
        if home[target] != home[name]
    }
    return tuple(sorted(name for name in chosen if home[name] not in below))


def describe_closure(
    roots: Mapping[str, Iterable[str]],
    references: Mapping[str, Iterable[str]],
    content: Mapping[str, str],
    base: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """What a report says of a closure, on top of ``base``, that of the image below.

    ``roots`` maps addresses to the names of the objects that they ask for; ``references`` and
    ``content`` have all objects by name. ``content`` identifies what an object is made of: where it
    is equal, the object is. An object that the base has too is described as it is here.
    """
    below = base or {"roots": {}, "objects": {}}
    merged: Dict[str, List[str]] = {key: list(names) for key, names in below["roots"].items()}
    for address, names in roots.items():
        merged[address] = sorted({*merged.get(address, ()), *names})
    objects = {
        **below["objects"],
        **{
            name: {"content": content[name], "references": sorted(references.get(name, ()))}
            for name in content
        },
    }
    return {
        "roots": {address: merged[address] for address in sorted(merged) if merged[address]},
        "objects": {name: objects[name] for name in sorted(objects)},
    }
