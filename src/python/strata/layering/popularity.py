"""The popularity contest of Nix' dockerTools: what most things need comes first.

Upstream gives each object n a map over what lies below it,

    W_n(x) = sum over children c of n: [c == x] + (W_c(x) + 1 if x lies below c else 0)

and scores x by W of a virtual node whose children are the roots. Unrolled, that is the number of
paths from the virtual node to x plus, for each object m above x, the number of paths to m. So no
map per object is needed: path counts and sets of ancestors are enough.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

from strata.model import Graph

#: Objects that refer to each other in a circle, or a single object.
Unit = Tuple[str, ...]


def popularity(graph: Graph) -> List[Tuple[Unit, int]]:
    """All units with their scores, the most popular first, ties by name.

    Upstream leaves the order of circles to chance; here a circle is scored as one object.
    """
    units = graph.components()
    position = {name: index for index, unit in enumerate(units) for name in unit}
    below: List[List[int]] = []
    for index, unit in enumerate(units):
        needed = {position[target] for name in unit for target in graph.references[name]}
        below.append(sorted(needed - {index}))

    # Components come with what they refer to first: reversed, users come before what they use.
    paths = [0] * len(units)
    above = [0] * len(units)  # Bit sets of the units above each unit.
    has_user = [False] * len(units)
    for targets in below:
        for target in targets:
            has_user[target] = True
    for index in reversed(range(len(units))):
        if not has_user[index]:
            paths[index] = 1
        for target in below[index]:
            paths[target] += paths[index]
            above[target] |= above[index] | 1 << index

    scored = [(unit, _score(paths, above[index], index)) for index, unit in enumerate(units)]
    return sorted(scored, key=lambda item: (-item[1], item[0]))


def _score(paths: List[int], above: int, index: int) -> int:
    total = paths[index]
    while above:
        lowest = above & -above
        total += paths[lowest.bit_length() - 1]
        above ^= lowest
    return total


def scores(graph: Graph) -> Dict[str, int]:
    """The score of each object."""
    return {name: score for unit, score in popularity(graph) for name in unit}
