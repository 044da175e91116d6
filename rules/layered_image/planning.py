"""What an image's fields ask of the planner, and what its plan means in objects."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Tuple

from pants.engine.target import Target
from pants.util.frozendict import FrozenDict

from layered_image.closure.collect import ImageClosure
from layered_image.errors import LayeredImageError
from layered_image.layers import LayerMember
from layered_image.target_types import (
    LayeredImageIncludeStoreField,
    LayeredImageLayerGroupsField,
    LayeredImageLayeringField,
    LayeredImageMaxLayersField,
    LayeredImageOmitPathsField,
    thawed,
)
from strata.errors import StrataError
from strata.layering.groups import without
from strata.layering.plan import PlannedLayer, PlanSettings, plan_layers
from strata.model import Graph


def plan_image(
    target: Target, closure: ImageClosure, base_layers: int, borrowed: Tuple[str, ...]
) -> Tuple[List[PlannedLayer], List[PlannedLayer]]:
    """The layers of the image, and those that are built only to know what to link to.

    ``borrowed`` are objects that the base has. Raises LayeredImageError where the image's fields
    allow no plan.
    """
    graph = Graph((item.item for item in closure.objects), closure.references)
    if target[LayeredImageIncludeStoreField].value:
        return _plan(target, closure, without(graph, borrowed), base_layers), []
    stored = [*borrowed, *(item.item.name for item in closure.objects if item.root)]
    placed = [*borrowed, *(item.item.name for item in closure.objects if not item.root)]
    return (
        _plan(target, closure, without(graph, stored), base_layers),
        _plan(target, closure, without(graph, placed), base_layers),
    )


def _plan(
    target: Target, closure: ImageClosure, graph: Graph, base_layers: int
) -> List[PlannedLayer]:
    names = {
        **{f"//{address.spec}": roots for address, roots in closure.roots.items()},
        **{
            f":{address.target_name}": roots
            for address, roots in closure.roots.items()
            if address.spec_path == target.address.spec_path
        },
    }
    groups = target[LayeredImageLayerGroupsField].value or FrozenDict()
    # What lies elsewhere is in no layer of this plan, and naming it is no mistake.
    elsewhere = [item.item.name for item in closure.objects if item.item.name not in graph.objects]

    def is_here(pattern: str) -> bool:
        return any(fnmatchcase(name, pattern) for name in graph.objects) or not any(
            fnmatchcase(name, pattern) for name in elsewhere
        )

    try:
        settings = PlanSettings(
            max_layers=target[LayeredImageMaxLayersField].value or 0,
            base_layers=base_layers,
            strategy=_with_names(thawed(target[LayeredImageLayeringField].value), names),
            groups={
                group: list(filter(is_here, _with_names(list(items), names)))
                for group, items in groups.items()
            },
        )
        return plan_layers(graph, settings)
    except StrataError as error:
        raise LayeredImageError(target.address, error, LayeredImageLayeringField.alias)


def _with_names(value: Any, names: Mapping[str, Tuple[str, ...]]) -> Any:
    """``value`` with every address in a list replaced by the names of its objects."""
    if isinstance(value, dict):
        return {key: _with_names(item, names) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    result: List[Any] = []
    for item in value:
        if isinstance(item, str) and item.startswith(("//", ":")):
            if item not in names:
                raise StrataError(
                    f"{item} is not in the contents; the addresses are {', '.join(sorted(names))}"
                )
            result.extend(names[item])
        else:
            result.append(_with_names(item, names))
    return result


def layer_members(
    target: Target, plan: List[PlannedLayer], closure: ImageClosure
) -> List[Tuple[LayerMember, ...]]:
    """The objects of each planned layer, and what of them is left out.

    Raises LayeredImageError for an `omit_paths` pattern that matches no object.
    """
    objects = {item.item.name: item for item in closure.objects}
    omitted = omitted_paths(target, closure)
    return [
        tuple(LayerMember(objects[name], omitted[name]) for name in planned.members)
        for planned in plan
    ]


def omitted_paths(target: Target, closure: ImageClosure) -> Dict[str, Tuple[str, ...]]:
    """What is left out of each object, by name.

    Raises LayeredImageError for an `omit_paths` pattern that matches no object.
    """
    names = [item.item.name for item in closure.objects]
    omit: Mapping[str, Tuple[str, ...]] = target[LayeredImageOmitPathsField].value or FrozenDict()
    for pattern in omit:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise LayeredImageError(
                target.address,
                f"{pattern!r} matches no object of the image; the objects are "
                f"{', '.join(sorted(names))}",
                LayeredImageOmitPathsField.alias,
            )

    return {
        name: tuple(
            path
            for pattern, paths in sorted(omit.items())
            if fnmatchcase(name, pattern)
            for path in paths
        )
        for name in names
    }
