"""The size-driven algorithm that Nix' dockerTools uses by default since 2025.

Objects are made *primaries*, the largest first, as long as that does not need more layers than
there are. An object's label is the set of the closest primaries above it, and a layer is a set of
objects with equal labels. Where upstream breaks ties by hashes this breaks them by name.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Set, Tuple

from strata.model import Graph

_Unit = int


def auto_layer(graph: Graph, limit: int) -> List[Tuple[str, ...]]:
    """At most ``limit`` groups, dependencies before their users."""
    units = graph.components()
    position = {name: index for index, unit in enumerate(units) for name in unit}
    below: List[Set[_Unit]] = [set() for _ in units]
    above: List[Set[_Unit]] = [set() for _ in units]
    # Components come with what they refer to first.
    for index, unit in enumerate(units):
        for name in unit:
            for target in graph.references[name]:
                other = position[target]
                if other != index:
                    below[index] |= below[other] | {other}
    for index, reached in enumerate(below):
        for other in reached:
            above[other].add(index)
    sizes = [sum(graph.objects[name].size for name in unit) for unit in units]

    labels: List[FrozenSet[_Unit]] = [frozenset() for _ in units]
    for primary in sorted(range(len(units)), key=lambda i: (-sizes[i], units[i])):
        changed = list(labels)
        changed[primary] = frozenset((primary,))
        for lower in below[primary]:
            label = labels[lower] - above[primary]
            changed[lower] = label if label & below[primary] else label | {primary}
        if len(set(changed)) > limit:
            break
        labels = changed

    groups: Dict[FrozenSet[_Unit], List[_Unit]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    ordered = []
    for members in groups.values():
        closure = set(members).union(*(below[index] for index in members))
        names = tuple(sorted(name for index in members for name in units[index]))
        ordered.append((sum(sizes[index] for index in closure), names))
    return [names for _, names in sorted(ordered)]
