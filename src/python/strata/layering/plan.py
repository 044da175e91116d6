"""From a graph and a budget to an ordered list of layers, the bottom one first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

from strata.errors import StrataError
from strata.layering.popularity import popularity
from strata.model import Graph

#: The layer that every image has on top, with links and declared entries.
CUSTOMISATION_LAYERS = 1


@dataclass(frozen=True)
class PlannedLayer:
    """``members`` are object names in a fixed order; ``reason`` says why they are together."""

    members: Tuple[str, ...]
    reason: str


def plan_by_popularity(graph: Graph, max_layers: int, base_layers: int = 0) -> List[PlannedLayer]:
    """One layer for each of the most popular objects, the rest in one.

    ``max_layers`` counts the customisation layer and ``base_layers``. First-party objects never
    share a layer with others, so the rest may need two layers. Raises StrataError if the budget
    is too small for that.
    """
    budget = max_layers - CUSTOMISATION_LAYERS - base_layers
    order = popularity(graph)
    kinds = {_is_first_party(graph, unit) for unit, _ in order}
    if budget < len(kinds):
        needed = len(kinds) + CUSTOMISATION_LAYERS + base_layers
        of_base = f", {base_layers} for the base image" if base_layers else ""
        raise StrataError(
            f"max_layers={max_layers} is too small: this image needs at least {needed} (1 for the "
            f"customisation layer{of_base}, {len(kinds)} because first-party code never shares a "
            f"layer with third-party objects); set max_layers={needed} or more"
        )
    if len(order) <= budget:
        alone, rest = order, []
    else:
        alone, rest = order[: budget - 1], order[budget - 1 :]
        if len({_is_first_party(graph, unit) for unit, _ in rest}) > 1:
            alone, rest = order[: budget - 2], order[budget - 2 :]
    layers = [PlannedLayer(unit, _reason(unit, f"popularity {score}")) for unit, score in alone]
    for first_party in (False, True):
        members = [
            name
            for unit, _ in rest
            for name in unit
            if graph.objects[name].first_party is first_party
        ]
        if members:
            kind = "first-party" if first_party else "third-party"
            layers.append(
                PlannedLayer(
                    tuple(members),
                    f"the remaining {kind} objects: the budget is {max_layers} layers",
                )
            )
    return layers


def _is_first_party(graph: Graph, unit: Tuple[str, ...]) -> bool:
    return any(graph.objects[name].first_party for name in unit)


def _reason(unit: Tuple[str, ...], reason: str) -> str:
    return reason if len(unit) == 1 else f"{reason}; they refer to each other in a circle"
