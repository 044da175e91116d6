"""The size-driven algorithm that Nix' dockerTools uses by default since 2025.

Objects are made *primaries*, the largest first, as long as that does not need more layers than
there are. An object's label is the set of the closest primaries above it, and a layer is a set of
objects with equal labels. Where upstream breaks ties by hashes this breaks them by name; objects in
a circle, which upstream's store cannot have, count as one.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

from strata.layering.reach import below, selected, units_and_targets
from strata.model import Graph


def auto_layer(graph: Graph, limit: int) -> List[Tuple[str, ...]]:
    """At most ``limit`` groups, dependencies before their users."""
    units, targets = units_and_targets(graph)
    reached = below(targets)
    indices = range(len(units))
    sizes = [sum(graph.objects[name].size for name in unit) for unit in units]

    # A label is a bit set of places in `primaries`.
    labels = [0] * len(units)
    primaries: List[int] = []
    for primary in sorted(indices, key=lambda index: (-sizes[index], units[index])):
        users = _places(primaries, [reached[other] >> primary & 1 for other in primaries])
        lower = _places(primaries, [reached[primary] >> other & 1 for other in primaries])
        own = 1 << len(primaries)
        changed = list(labels)
        changed[primary] = own
        for index in selected(reached[primary], indices):
            label = labels[index] & ~users
            changed[index] = label if label & lower else label | own
        if len(set(changed)) > limit:
            break
        labels = changed
        primaries.append(primary)

    groups: Dict[int, List[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    ordered = []
    for members in groups.values():
        closure = 0
        for index in members:
            closure |= reached[index] | 1 << index
        names = tuple(sorted(name for index in members for name in units[index]))
        ordered.append((sum(selected(closure, sizes)), names))
    return [names for _, names in sorted(ordered)]


def _places(primaries: List[int], chosen: List[int]) -> int:
    """The bit set of the places in ``primaries`` whose entry in ``chosen`` is 1."""
    return sum(bit << place for place, bit in enumerate(chosen))
