"""The layers of one image: its settings, its planned layers, and those on top of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import List, Optional, Sequence, Tuple

from pants.engine.fs import EMPTY_DIGEST, Digest
from pants.engine.target import Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.bases.base import (
    BaseRoot,
    LoadedBase,
    ScanBaseRequest,
    check_root,
    checked_base,
    scan_base,
)
from layered_image.bases.held_objects import held_objects, in_base
from layered_image.closure.collect import ImageClosure
from layered_image.closure.debian import MERGED_USR
from layered_image.commands.configuration import ConfigurationRequest, configure_packages
from layered_image.commands.process import LowerLayer
from layered_image.commands.run import CommandsRequest, commands_error, run_commands
from layered_image.engine import collect_rules, concurrently, implicitly, rule
from layered_image.errors import LayeredImageError
from layered_image.fields.commands import has_commands
from layered_image.fields.owners import (
    LayeredImageGidField,
    LayeredImageGnameField,
    LayeredImageOwnersField,
    LayeredImageUidField,
    LayeredImageUnameField,
)
from layered_image.fields.values import thawed
from layered_image.images.clock import ClockRequest, read_clock
from layered_image.images.compiler import CompilerRequest, find_compiler
from layered_image.images.layers import (
    BuiltLayer,
    CustomisationRequest,
    LayerMember,
    LayerRequest,
    LayerSettings,
    build_customisation,
    build_layer,
)
from layered_image.images.planning import layer_members, plan_image
from layered_image.images.popularity import PopularityRequest, find_popularity
from layered_image.subsystem import LayeredImageSubsystem, PopularityScope
from layered_image.target_types import (
    LayeredImageBytecodeField,
    LayeredImageCompressionField,
    LayeredImageContentsField,
    LayeredImageMtimeField,
)
from strata.elf import misfit
from strata.layering.plan import PlannedLayer
from strata.oci.base import BaseImage
from strata.oci.content import blob_path
from strata.oci.image import parse_timestamp
from strata.oci.root import ImageRoot
from strata.platforms import Platform


@dataclass(frozen=True)
class LayerSettingsRequest:
    target: Target
    closure: ImageClosure


@dataclass(frozen=True)
class ImageLayersRequest:
    target: Target
    platform: Platform
    closure: ImageClosure
    base: Optional[LoadedBase]


@dataclass(frozen=True)
class ImageLayers:
    """What an image adds to its base: layers and why each is there, the bottom one first.

    ``held`` and ``listings`` are as in ``LoadedBase``, of the base and the image together."""

    layers: Tuple[Tuple[BuiltLayer, str], ...]
    held: FrozenDict
    listings: Tuple[Digest, ...]


@rule(desc="Find out what all layers of an image share", level=LogLevel.DEBUG)
async def find_layer_settings(request: LayerSettingsRequest) -> LayerSettings:
    target, closure = request.target, request.closure
    mtime = target[LayeredImageMtimeField].value or ""
    now = 0
    if mtime == "now":
        clock = await read_clock(ClockRequest(), **implicitly())
        now = clock.seconds
    interpreter = None
    if target[LayeredImageBytecodeField].value and closure.applications:
        compiler = await find_compiler(CompilerRequest(target.address, closure), **implicitly())
        interpreter = compiler.digest
    return LayerSettings(
        target[LayeredImageCompressionField].value or "",
        parse_timestamp(mtime, now),
        target[LayeredImageUidField].value or 0,
        target[LayeredImageGidField].value or 0,
        json.dumps(thawed(target[LayeredImageOwnersField].value), sort_keys=True),
        closure.interpreter.minor if closure.interpreter else "",
        interpreter,
        target[LayeredImageUnameField].value or "",
        target[LayeredImageGnameField].value or "",
    )


@rule(desc="Plan and build the layers of an image", level=LogLevel.DEBUG)
async def build_image_layers(
    request: ImageLayersRequest, options: LayeredImageSubsystem
) -> ImageLayers:
    target, closure = request.target, request.closure
    address = target.address
    base = checked_base(target, request.base)
    root = BaseRoot(EMPTY_DIGEST, "")
    if request.base is not None:
        root = await scan_base(ScanBaseRequest(address, request.base), **implicitly())
    links = _links(target, closure, root)
    settings = await find_layer_settings(LayerSettingsRequest(target, closure), **implicitly())
    own = held_objects(target, closure, settings)
    borrowed = in_base(own, settings, request.base)
    images: FrozenDict = FrozenDict()
    if options.popularity_scope is PopularityScope.REPOSITORY:
        popularity = await find_popularity(PopularityRequest(), **implicitly())
        images = popularity.images
    plan, links_only = plan_image(
        target, closure, len(base.layers) + bool(closure.configured), borrowed, images
    )

    members = layer_members(target, [*plan, *links_only], closure)
    # The largest first: a large layer that starts last is waited for alone.
    order = sorted(range(len(members)), key=lambda index: -_size(members[index]))
    unordered = await concurrently(
        build_layer(LayerRequest(members[index], settings, links), **implicitly())
        for index in order
    )
    built = [layer for _, layer in sorted(zip(order, unordered), key=lambda pair: pair[0])]
    for layer in built:
        if layer.error:
            raise LayeredImageError(address, layer.error)
        _check_programs(target, request.platform, layer)

    commands = has_commands(target)
    customisation = await build_customisation(
        CustomisationRequest(
            # What the commands get is read again, and never part of the image.
            replace(settings, compression="none") if commands else settings,
            tuple(layer.listings for layer in built),
            closure.interpreter,
            closure.applications,
            closure.farms,
            closure.entries,
            root.digest,
            links,
            request.base.listings if request.base is not None and borrowed else (),
            borrowed,
        ),
        **implicitly(),
    )
    if customisation.error:
        raise LayeredImageError(address, customisation.error)
    _check_owners(target, [*built, customisation])

    layers = list(zip(built[: len(plan)], (planned.reason for planned in plan)))
    below = _base_layers(request.base, base)
    if closure.configured:
        configuration = await configure_packages(
            ConfigurationRequest(
                address,
                tuple(item for item in closure.objects if item.item.name in closure.configured),
                closure.entries,
                settings,
                (*below, *_holding(closure.configured, plan, built)),
                request.platform,
            ),
            **implicitly(),
        )
        layers.append((configuration, "what the scripts of Debian packages changed"))
    top_reason = "links into the store and declared entries"
    if commands:
        lower = (*below, *(_lower_layer(layer) for layer, _ in layers))
        customisation = await run_commands(
            CommandsRequest(target, request.platform, settings, customisation, lower),
            **implicitly(),
        )
        if customisation.error:
            raise commands_error(target, customisation.error)
        top_reason = f"{top_reason}, and what the commands changed"
    if not commands and base.layers and _digest(customisation) == base.layers[-1].digest:
        # Nothing of the base lies above it, and nothing of the image may be at its paths.
        top: Tuple[Tuple[BuiltLayer, str], ...] = ()
    else:
        top = ((customisation, top_reason),)
    stored = {name for planned in plan for name in planned.members}
    below_held = request.base.held if request.base is not None else FrozenDict()
    return ImageLayers(
        (*layers, *top),
        FrozenDict({**below_held, **{name: own[name] for name in own if name in stored}}),
        (
            *(request.base.listings if request.base is not None else ()),
            *(layer.listings for layer in built[: len(plan)]),
        ),
    )


def _links(target: Target, closure: ImageClosure, base: BaseRoot) -> FrozenDict:
    """Links to folders that what the image places has to follow: the base's, and those into /usr
    that come with Debian packages."""
    root = ImageRoot.from_json(json.loads(base.text)) if base.text else ImageRoot()
    check_root(target, root, closure.entries)
    own = {
        entry.path: MERGED_USR[entry.path]
        for entry in closure.entries
        if entry.type == "symlink" and entry.target.lstrip("/") == MERGED_USR.get(entry.path)
    }
    return FrozenDict({**root.links, **own})


def _size(members: Tuple[LayerMember, ...]) -> int:
    return sum(member.provided.item.size for member in members)


def _check_owners(target: Target, layers: List[BuiltLayer]) -> None:
    rules = target[LayeredImageOwnersField].value
    for index, rule_ in enumerate(rules):
        if not any(json.loads(layer.metadata)["owners"][index] for layer in layers):
            raise LayeredImageError(
                target.address,
                f"the rule for {rule_['paths']!r} matches no path of the image; correct or remove "
                "it",
                LayeredImageOwnersField.alias,
            )


def _check_programs(target: Target, platform: Platform, layer: BuiltLayer) -> None:
    for member in json.loads(layer.metadata)["members"]:
        architecture, path = misfit(member.get("programs", {}), platform)
        if path:
            raise LayeredImageError(
                target.address,
                f"{member['name']} is for another machine: /{path} is a program for "
                f"{architecture}, and the image is for {platform}. Package it for that too: "
                "declare a layered_image for each architecture, with its own, and put them "
                "together with image_index",
                LayeredImageContentsField.alias,
            )


def _base_layers(loaded: Optional[LoadedBase], base: BaseImage) -> Tuple[LowerLayer, ...]:
    if loaded is None:
        return ()
    return tuple(
        LowerLayer(loaded.blobs, blob_path(layer.digest), layer.diff_id) for layer in base.layers
    )


def _lower_layer(layer: BuiltLayer) -> LowerLayer:
    metadata = json.loads(layer.metadata)
    return LowerLayer(layer.blobs, blob_path(metadata["digest"]), metadata["diff_id"])


def _digest(layer: BuiltLayer) -> str:
    digest: str = json.loads(layer.metadata)["digest"]
    return digest


def _holding(
    names: Tuple[str, ...], plan: Sequence[PlannedLayer], built: Sequence[BuiltLayer]
) -> List[LowerLayer]:
    """The layers that have any of the objects ``names``."""
    return [
        _lower_layer(layer)
        for planned, layer in zip(plan, built)
        if not set(names).isdisjoint(planned.members)
    ]


def rules():
    return collect_rules()
