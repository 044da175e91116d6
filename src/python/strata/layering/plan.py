"""From a graph and an image's settings to an ordered list of layers, the bottom one first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, Sequence, Tuple, Union

from strata.errors import StrataError
from strata.layering.auto_layer import auto_layer
from strata.layering.groups import explicit_groups, without
from strata.layering.pipeline import run_pipeline
from strata.layering.popularity import popularity
from strata.layering.stable import stable, tier_of
from strata.model import Graph

#: The layer that every image has on top, with links and declared entries.
CUSTOMISATION_LAYERS = 1
STRATEGIES = ("auto_layer", "popularity", "single", "stable")


@dataclass(frozen=True)
class PlannedLayer:
    """``members`` are object names in a fixed order; ``reason`` says why they are together."""

    members: Tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class PlanSettings:
    """``strategy`` is one of ``STRATEGIES`` or a pipeline (``strata.layering.pipeline``).

    ``max_layers`` counts the customisation layer and ``base_layers``. ``groups`` are explicit
    layers, by name, of object patterns; the strategy plans the rest. ``popularity`` says how many
    images of the repository have an object.
    """

    max_layers: int
    strategy: Union[str, Sequence[Any]] = "stable"
    base_layers: int = 0
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    popularity: Mapping[str, int] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        return self.max_layers - CUSTOMISATION_LAYERS - self.base_layers


def plan_layers(graph: Graph, settings: PlanSettings) -> List[PlannedLayer]:
    """Every object is in exactly one layer, but for those a pipeline removes.

    Raises StrataError for a budget that is too small, and for groups and pipelines that make no
    sense.
    """
    layers = [
        PlannedLayer(members, f"the group {name!r}")
        for name, members in explicit_groups(graph, settings.groups)
    ]
    rest = without(graph, [name for layer in layers for name in layer.members])
    budget = settings.budget - len(layers)
    if len(rest):
        layers += _planned(rest, settings, budget)
    elif budget < 0:
        raise _too_small(settings, len(layers), "for its groups")
    return layers


def _planned(graph: Graph, settings: PlanSettings, budget: int) -> List[PlannedLayer]:
    strategy = settings.strategy
    groups = settings.budget - budget
    if not isinstance(strategy, str):
        found = run_pipeline(graph, strategy)
        if len(found) > budget:
            raise _too_small(
                settings,
                groups + len(found),
                "for the layers that its pipeline makes; end it with 'limit_layers'",
            )
        return [PlannedLayer(names, "its pipeline") for names in found]
    needed = {
        "single": 1,
        "auto_layer": 1,
        "popularity": len({item.first_party for item in graph.objects.values()}),
        "stable": len({tier_of(graph, name) for name in graph.objects}),
    }
    if strategy not in needed:
        raise StrataError(
            f"unknown strategy {strategy!r}: choose from {', '.join(STRATEGIES)}, or write a "
            "pipeline"
        )
    if budget < needed[strategy]:
        why = {
            "popularity": "because first-party code never shares a layer with third-party objects",
            "stable": "because objects of different volatility never share a layer",
        }
        raise _too_small(settings, groups + needed[strategy], why.get(strategy, "for its objects"))
    if strategy == "single":
        return [PlannedLayer(tuple(sorted(graph.objects)), "everything is in one layer")]
    if strategy == "auto_layer":
        return [
            PlannedLayer(names, "the same large objects need them")
            for names in auto_layer(graph, budget)
        ]
    if strategy == "popularity":
        return _by_popularity(graph, settings, budget)
    return [
        PlannedLayer(names, reason) for names, reason in stable(graph, budget, settings.popularity)
    ]


def _too_small(settings: PlanSettings, layers: int, why: str) -> StrataError:
    needed = layers + CUSTOMISATION_LAYERS + settings.base_layers
    of_base = f", {settings.base_layers} for the base image" if settings.base_layers else ""
    return StrataError(
        f"max_layers={settings.max_layers} is too small: this image needs at least {needed} (1 for "
        f"the customisation layer{of_base}, {layers} {why}); set max_layers={needed} or more"
    )


def _by_popularity(graph: Graph, settings: PlanSettings, budget: int) -> List[PlannedLayer]:
    """One layer for each of the most popular objects, the rest in one.

    First-party objects never share a layer with others, so the rest may need two.
    """
    order = popularity(graph)
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
                    f"the remaining {kind} objects: the budget is {settings.max_layers} layers",
                )
            )
    return layers


def _is_first_party(graph: Graph, unit: Tuple[str, ...]) -> bool:
    return any(graph.objects[name].first_party for name in unit)


def _reason(unit: Tuple[str, ...], reason: str) -> str:
    return reason if len(unit) == 1 else f"{reason}; they refer to each other in a circle"
