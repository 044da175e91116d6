"""What an image's fields ask of the planner, and what its plan means in objects."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Dict, List, Mapping, Set, Tuple

from pants.engine.addresses import Address
from pants.engine.target import Target
from pants.util.frozendict import FrozenDict

from layered_image.closure.collect import ImageClosure
from layered_image.errors import LayeredImageError
from layered_image.fields.layering import (
    LayeredImageLayerGroupsField,
    LayeredImageLayeringField,
    LayeredImageMaxLayersField,
)
from layered_image.fields.values import thawed
from layered_image.images.layers import LayerMember
from layered_image.target_types import LayeredImageIncludeStoreField, LayeredImageOmitPathsField
from strata.errors import StrataError
from strata.layering.groups import without
from strata.layering.plan import (
    BudgetError,
    GroupsError,
    PlannedLayer,
    PlanSettings,
    plan_layers,
)
from strata.model import Graph

#: For each object the addresses of the images that have it.
Images = Mapping[str, Tuple[str, ...]]


def plan_image(
    target: Target,
    closure: ImageClosure,
    base_layers: int,
    borrowed: Tuple[str, ...],
    images: Images,
) -> Tuple[List[PlannedLayer], List[PlannedLayer]]:
    """The layers of the image, and those that are built only to know what to link to.

    ``borrowed`` are objects that the base has. ``images`` says for each object which images of the
    repository have it; it is empty where only this one counts. Raises LayeredImageError where the
    image's fields allow no plan.
    """
    graph = Graph((item.item for item in closure.objects), closure.references)
    if target[LayeredImageIncludeStoreField].value:
        return _plan(target, closure, without(graph, borrowed), base_layers, images), []
    stored = [*borrowed, *(item.item.name for item in closure.objects if item.root)]
    placed = [*borrowed, *(item.item.name for item in closure.objects if not item.root)]
    return (
        _plan(target, closure, without(graph, stored), base_layers, images),
        _plan(target, closure, without(graph, placed), base_layers, images),
    )


def _plan(
    target: Target, closure: ImageClosure, graph: Graph, base_layers: int, images: Images
) -> List[PlannedLayer]:
    groups: Mapping[str, Tuple[str, ...]] = (
        target[LayeredImageLayerGroupsField].value or FrozenDict()
    )
    aliases = address_aliases(closure.roots, target.address)
    # What lies elsewhere is in no layer of this plan, and naming it is no mistake.
    elsewhere = {item.item.name for item in closure.objects} - set(graph.objects)

    def is_here(pattern: str) -> bool:
        def means(name: str) -> bool:
            return name in aliases.get(pattern, ()) or fnmatchcase(name, pattern)

        return any(map(means, graph.objects)) or not any(map(means, elsewhere))

    settings = PlanSettings(
        max_layers=target[LayeredImageMaxLayersField].value or 0,
        base_layers=base_layers,
        strategy=thawed(target[LayeredImageLayeringField].value),
        groups={group: list(filter(is_here, patterns)) for group, patterns in groups.items()},
        images=images,
        aliases=aliases,
    )
    try:
        return plan_layers(graph, settings)
    except GroupsError as error:
        raise LayeredImageError(target.address, error, LayeredImageLayerGroupsField.alias)
    except BudgetError as error:
        raise LayeredImageError(target.address, error, LayeredImageMaxLayersField.alias)
    except StrataError as error:
        raise LayeredImageError(target.address, error, LayeredImageLayeringField.alias)


def address_aliases(
    roots: Mapping[Address, Tuple[str, ...]], image: Address
) -> Dict[str, Tuple[str, ...]]:
    """What the addresses in ``roots`` stand for, in each way that a BUILD file may write them.

    A target generator stands for all that it generates.
    """
    names: Dict[Address, Set[str]] = {}
    for address, found in roots.items():
        for written in (address, address.maybe_convert_to_target_generator()):
            names.setdefault(written, set()).update(found)
    aliases = {}
    for address, members in names.items():
        forms = {address.spec, f"//{address.spec.lstrip('/')}"}
        if address.generated_name:
            full = f"{address.spec_path}:{address.target_name}#{address.generated_name}"
            forms |= {full, f"//{full}"}
        if address.spec_path == image.spec_path and not address.is_generated_target:
            forms.add(f":{address.target_name}")
        # The name of a target that is named after its folder may be left out.
        default = f":{os.path.basename(address.spec_path)}"
        if address.spec_path and not address.is_file_target:
            forms |= {form.replace(default, "", 1) for form in forms if default in form}
        for form in forms:
            aliases[form] = tuple(sorted(members))
    return aliases


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
