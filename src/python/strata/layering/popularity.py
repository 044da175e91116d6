"""The popularity contest of Nix' dockerTools: what most things need comes first.

Upstream gives each object n a map over what lies below it,

    W_n(x) = sum over children c of n: [c == x] + (W_c(x) + 1 if x lies below c else 0)

and scores x by W of a virtual node whose children are the roots. Unrolled, that is the number of
paths from the virtual node to x plus, for each object m above x, the number of paths to m. So no
map per object is needed: path counts and sets of ancestors are enough.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

from strata.layering.reach import Unit, above, selected, units_and_targets
from strata.model import Graph


def popularity(graph: Graph) -> List[Tuple[Unit, int]]:
    """All units with their scores, the most popular first, ties by name.

    Upstream leaves the order of circles to chance; here a circle is scored as one object.
    """
    units, targets = units_and_targets(graph)
    used = {target for found in targets for target in found}
    # Units come with what they refer to first: reversed, users come before what they use.
    paths = [0 if index in used else 1 for index in range(len(units))]
    for index in reversed(range(len(units))):
        for target in targets[index]:
            paths[target] += paths[index]
    scored = [
        (unit, paths[index] + sum(selected(users, paths)))
        for index, (unit, users) in enumerate(zip(units, above(targets)))
    ]
    return sorted(scored, key=lambda item: (-item[1], item[0]))


def scores(graph: Graph) -> Dict[str, int]:
    """The score of each object."""
    return {name: score for unit, score in popularity(graph) for name in unit}
