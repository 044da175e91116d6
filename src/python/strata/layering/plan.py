"""From a graph and an image's settings to an ordered list of layers, the bottom one first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

from strata.errors import StrataError
from strata.layering.auto_layer import auto_layer
from strata.layering.groups import Aliases, explicit_groups, without
from strata.layering.pipeline import run_pipeline
from strata.layering.popularity import popularity
from strata.layering.stable import stable
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
    layers, by name, of object patterns; the strategy plans the rest. ``images`` says which images
    of the repository have an object, by its name, and is empty where a plan is to look at nothing
    but its own image. ``aliases`` are what addresses in patterns stand for.
    """

    max_layers: int
    strategy: Union[str, Sequence[Any]] = "stable"
    base_layers: int = 0
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    aliases: Aliases = field(default_factory=dict)

    @property
    def budget(self) -> int:
        return self.max_layers - CUSTOMISATION_LAYERS - self.base_layers


class GroupsError(StrataError):
    """Explicit groups make no sense."""


class BudgetError(StrataError):
    """More layers are needed than the image may have."""


def plan_layers(graph: Graph, settings: PlanSettings) -> List[PlannedLayer]:
    """Every object is in exactly one layer, but for those a pipeline removes.

    Raises BudgetError for a budget that is too small, GroupsError for groups and StrataError for
    strategies and pipelines that make no sense.
    """
    try:
        groups = explicit_groups(graph, settings.groups, settings.aliases)
    except StrataError as error:
        raise GroupsError(str(error)) from None
    layers = [PlannedLayer(members, f"the group {name!r}") for name, members in groups]
    rest = without(graph, [name for layer in layers for name in layer.members]) if layers else graph
    budget = settings.budget - len(layers)
    if budget < (1 if len(rest) else 0):
        of_groups = "for its groups" if groups else "for its objects"
        of_rest = " and what is in none of them" if groups and len(rest) else ""
        raise _too_small(settings, len(layers) + (1 if len(rest) else 0), of_groups + of_rest)
    return [*layers, *(_planned(rest, settings, budget) if len(rest) else ())]


def _planned(graph: Graph, settings: PlanSettings, budget: int) -> List[PlannedLayer]:
    strategy = settings.strategy
    if not isinstance(strategy, str):
        found = run_pipeline(graph, strategy, settings.aliases)
        if len(found) > budget:
            raise _too_small(
                settings,
                settings.budget - budget + len(found),
                "for the layers that its pipeline makes",
                "end the pipeline with 'limit_layers', or ",
            )
        return [PlannedLayer(names, "its pipeline") for names in found]
    if strategy not in STRATEGIES:
        raise StrataError(
            f"unknown strategy {strategy!r}: choose from {', '.join(STRATEGIES)}, or write a "
            "pipeline"
        )
    if strategy == "auto_layer":
        reason = "the same large objects need them"
        return [PlannedLayer(names, reason) for names in auto_layer(graph, budget)]
    if strategy == "popularity":
        return _by_popularity(graph, settings, budget)
    if strategy == "stable":
        found_layers = stable(graph, budget, settings.images)
        return [PlannedLayer(names, reason) for names, reason in found_layers]
    return [PlannedLayer(tuple(sorted(graph.objects)), "everything is in one layer")]


def _too_small(settings: PlanSettings, layers: int, why: str, instead: str = "") -> BudgetError:
    needed = layers + CUSTOMISATION_LAYERS + settings.base_layers
    of_base = f", {settings.base_layers} for the base image" if settings.base_layers else ""
    return BudgetError(
        f"max_layers={settings.max_layers} is too small: this image needs at least {needed} (1 for "
        f"the customisation layer{of_base}, {layers} {why}); {instead}set max_layers={needed} or "
        "more"
    )


def _by_popularity(graph: Graph, settings: PlanSettings, budget: int) -> List[PlannedLayer]:
    """One layer for each of the most popular objects, the rest in one.

    First-party objects do not share a layer with others while there are two, so the rest may need
    two.
    """
    order = popularity(graph)
    if len(order) <= budget:
        alone, rest = order, []
    else:
        alone, rest = order[: budget - 1], order[budget - 1 :]
        if budget > 1 and len({_is_first_party(graph, unit) for unit, _ in rest}) > 1:
            alone, rest = order[: budget - 2], order[budget - 2 :]
    layers = [PlannedLayer(unit, _reason(unit, f"popularity {score}")) for unit, score in alone]
    parts: Dict[str, List[str]] = {}
    for unit, _ in rest:
        kind = "first-party" if _is_first_party(graph, unit) else "third-party"
        parts.setdefault("" if budget == 1 else f"{kind} ", []).extend(unit)
    for kind, members in sorted(parts.items(), reverse=True):
        reason = f"the remaining {kind}objects: the budget is {settings.max_layers} layers"
        layers.append(PlannedLayer(tuple(members), reason))
    return layers


def _is_first_party(graph: Graph, unit: Tuple[str, ...]) -> bool:
    return any(graph.objects[name].first_party for name in unit)


def _reason(unit: Tuple[str, ...], reason: str) -> str:
    return reason if len(unit) == 1 else f"{reason}; they refer to each other in a circle"
