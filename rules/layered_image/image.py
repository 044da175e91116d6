"""From a ``layered_image`` target to a built image: closure, plan, layers, metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Tuple

from pants.engine.addresses import Address
from pants.engine.fs import (
    CreateDigest,
    Digest,
    DigestSubset,
    FileContent,
    MergeDigests,
    PathGlobs,
)
from pants.engine.platform import Platform
from pants.engine.process import ProcessCacheScope
from pants.engine.target import Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.base import (
    BaseArchiveRequest,
    BaseTargetRequest,
    LoadedBase,
    find_base_target,
    load_base_archive,
)
from layered_image.closure.collect import ImageClosure, ImageClosureRequest, find_image_closure
from layered_image.closure.provider import ProvidedObject
from layered_image.command_process import LowerLayer
from layered_image.command_target_types import has_commands
from layered_image.commands import CommandsRequest, commands_error, run_commands
from layered_image.configuration import ConfigurationRequest, configure_packages
from layered_image.engine import (
    collect_rules,
    concurrently,
    create_digest,
    digest_subset_to_digest,
    implicitly,
    merge_digests,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.layers import (
    BuiltLayer,
    CustomisationRequest,
    InterpreterRequest,
    LayerMember,
    LayerRequest,
    LayerSettings,
    build_customisation,
    build_layer,
    unpack_interpreter,
)
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.target_types import (
    ImageNameField,
    LayeredImageArchitectureField,
    LayeredImageBaseField,
    LayeredImageBytecodeField,
    LayeredImageCompressionField,
    LayeredImageCreatedField,
    LayeredImageGidField,
    LayeredImageIncludeStoreField,
    LayeredImageLayerGroupsField,
    LayeredImageLayeringField,
    LayeredImageMaxLayersField,
    LayeredImageMtimeField,
    LayeredImageOmitPathsField,
    LayeredImageOwnersField,
    LayeredImageTagsField,
    LayeredImageUidField,
    thawed,
)
from strata.errors import StrataError
from strata.layering.groups import without
from strata.layering.plan import PlannedLayer, PlanSettings, plan_layers
from strata.model import Graph
from strata.oci.base import BaseImage, blob_path, merged_config
from strata.oci.image import Image, ImageLayer, ImageSettings, build_image, parse_timestamp
from strata.report.closure import describe_closure

#: Which of Pants' platforms runs programs of which architecture.
_NATIVE = {"linux_x86_64": "amd64", "linux_arm64": "arm64"}


@dataclass(frozen=True)
class BuildImageRequest:
    target: Target


@dataclass(frozen=True)
class ImageOnBaseRequest:
    target: Target
    base: Optional[LoadedBase]


@dataclass(frozen=True)
class BuiltImage:
    """``layout`` holds the files of an OCI image layout with a docker ``manifest.json``;
    ``report`` is the JSON text of the image's report, ``metadata`` what an image on top of this
    one needs to know (``LoadedBase.metadata``)."""

    address: Address
    layout: Digest
    report: str
    metadata: str
    digest: str
    references: Tuple[str, ...]
    layers: int
    size: int


@dataclass(frozen=True)
class ClockRequest:
    """Asked only for ``"now"``."""


@dataclass(frozen=True)
class Clock:
    seconds: int


@rule(desc="Read the clock", level=LogLevel.DEBUG)
async def read_clock(request: ClockRequest) -> Clock:
    empty = await create_digest(CreateDigest([]))
    result = await run_strata(
        StrataRequest(
            command="clock",
            spec="{}",
            description="Read the clock",
            input_digest=empty,
            cache_scope=ProcessCacheScope.PER_SESSION,
        ),
        **implicitly(),
    )
    return Clock(int(result.stdout))


@rule(desc="Plan and build the layers of an image", level=LogLevel.DEBUG)
async def build_image_on_base(request: ImageOnBaseRequest, platform: Platform) -> BuiltImage:
    target = request.target
    address = target.address
    closure = await find_image_closure(ImageClosureRequest(target), **implicitly())
    base = _base(request, closure)
    created, mtime = target[LayeredImageCreatedField].value, target[LayeredImageMtimeField].value
    now = 0
    if "now" in (created, mtime):
        clock = await read_clock(ClockRequest(), **implicitly())
        now = clock.seconds
    plan, links_only = _plans(target, closure, len(base.layers) + bool(closure.configured))

    interpreter = None
    wanted = target[LayeredImageBytecodeField].value
    is_native = _NATIVE.get(platform.value) == target[LayeredImageArchitectureField].value
    packages = _interpreter_packages(closure)
    if wanted and is_native and closure.applications and packages and closure.interpreter:
        unpacked = await unpack_interpreter(
            InterpreterRequest(packages, closure.interpreter.minor), **implicitly()
        )
        if unpacked.error:
            raise LayeredImageError(address, unpacked.error)
        interpreter = unpacked.digest
    settings = LayerSettings(
        target[LayeredImageCompressionField].value or "",
        parse_timestamp(mtime or "", now),
        target[LayeredImageUidField].value or 0,
        target[LayeredImageGidField].value or 0,
        json.dumps(thawed(target[LayeredImageOwnersField].value), sort_keys=True),
        closure.interpreter.minor if closure.interpreter else "",
        interpreter,
    )
    members = _members(target, [*plan, *links_only], closure)
    # The largest first: a large layer that starts last is waited for alone.
    order = sorted(range(len(members)), key=lambda index: -_size(members[index]))
    unordered = await concurrently(
        build_layer(LayerRequest(members[index], settings), **implicitly()) for index in order
    )
    built = [layer for _, layer in sorted(zip(order, unordered), key=lambda pair: pair[0])]
    for layer in built:
        if layer.error:
            raise LayeredImageError(address, layer.error)
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
        ),
        **implicitly(),
    )
    if customisation.error:
        raise LayeredImageError(address, customisation.error)
    _check_owners(target, [*built, customisation])
    layers = list(zip(built[: len(plan)], (planned.reason for planned in plan)))
    base_layers = _base_layers(request.base, base)
    if closure.configured:
        configuration = await configure_packages(
            ConfigurationRequest(
                address,
                tuple(item for item in closure.objects if item.item.name in closure.configured),
                closure.entries,
                settings,
                (*base_layers, *_holding(closure.configured, plan, built)),
            ),
            **implicitly(),
        )
        layers.append((configuration, "what the scripts of Debian packages changed"))
    top_reason = "links into the store and declared entries"
    if commands:
        lower = (*base_layers, *(_lower_layer(layer) for layer, _ in layers))
        customisation = await run_commands(
            CommandsRequest(target, settings, customisation, lower), **implicitly()
        )
        if customisation.error:
            raise commands_error(target, customisation.error)
        top_reason = f"{top_reason}, and what the commands changed"
    image = _image(
        target,
        closure.config,
        parse_timestamp(created or "", now),
        base,
        [*layers, (customisation, top_reason)],
    )
    metadata = await create_digest(
        CreateDigest(FileContent(path, content) for path, content in image.files.items())
    )
    digests = [metadata, *(layer.blobs for layer, _ in layers), customisation.blobs]
    if request.base is not None:
        digests.append(
            await digest_subset_to_digest(
                DigestSubset(
                    request.base.blobs,
                    PathGlobs([blob_path(layer.digest) for layer in base.layers]),
                )
            )
        )
    layout = await merge_digests(MergeDigests(digests))
    described = _described_closure(closure, request.base)
    metadata_text = json.dumps(
        {
            "config": image.config,
            "layers": [vars(layer) for layer in image.layers],
            "closure": described,
        }
    )
    report = {**image.report(), "closure": described}
    return BuiltImage(
        address,
        layout,
        json.dumps(report, indent=2, ensure_ascii=False) + "\n",
        metadata_text,
        image.digest,
        image.references,
        len(image.layers),
        image.size,
    )


@rule(desc="Build a layered image", level=LogLevel.DEBUG)
async def build_layered_image(request: BuildImageRequest) -> BuiltImage:
    target = request.target
    # The image itself, what it is based on, and so on.
    stack = [target]
    base = None
    while stack[-1][LayeredImageBaseField].value is not None:
        found = await find_base_target(BaseTargetRequest(stack[-1]), **implicitly())
        if found.target.has_field(LayeredImageBaseField):
            if any(found.target.address == image.address for image in stack):
                raise LayeredImageError(
                    stack[-1].address,
                    f"{found.target.address} is based on this image; break the circle",
                    LayeredImageBaseField.alias,
                )
            stack.append(found.target)
            continue
        base = await load_base_archive(
            BaseArchiveRequest(
                stack[-1].address,
                found.target,
                target[LayeredImageArchitectureField].value or "",
                target[LayeredImageCompressionField].value or "",
            ),
            **implicitly(),
        )
        break
    image = await build_image_on_base(ImageOnBaseRequest(stack.pop(), base), **implicitly())
    while stack:
        below = LoadedBase(image.layout, image.metadata, FrozenDict())
        image = await build_image_on_base(ImageOnBaseRequest(stack.pop(), below), **implicitly())
    return image


def _base(request: ImageOnBaseRequest, closure: ImageClosure) -> BaseImage:
    if request.base is None:
        return BaseImage({}, ())
    address = request.target.address
    for entry in closure.entries:
        if entry.type == "symlink" and request.base.top.get(entry.path) == "directory":
            raise LayeredImageError(
                address,
                f"the base image has a folder at /{entry.path}, where this image needs a link to "
                f"{entry.target}: it is older than the merge of /usr. Use a newer base, or one "
                "without the packages that this image brings",
                LayeredImageBaseField.alias,
            )
    data = json.loads(request.base.metadata)
    architecture = request.target[LayeredImageArchitectureField].value
    if data["config"].get("architecture", architecture) != architecture:
        raise LayeredImageError(
            address,
            f"the base image is for {data['config']['architecture']}, and this image is for "
            f"{architecture}; change one of the two",
            LayeredImageArchitectureField.alias,
        )
    return BaseImage(
        data["config"],
        tuple(ImageLayer.from_json(layer, layer["reason"]) for layer in data["layers"]),
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


def _holding(
    names: Tuple[str, ...], plan: List[PlannedLayer], built: List[BuiltLayer]
) -> List[LowerLayer]:
    """The layers that have any of the objects ``names``."""
    return [
        _lower_layer(layer)
        for planned, layer in zip(plan, built)
        if not set(names).isdisjoint(planned.members)
    ]


def _described_closure(closure: ImageClosure, base: Optional[LoadedBase]) -> Dict[str, Any]:
    # A base from an archive says nothing of what its layers were made from.
    below = json.loads(base.metadata).get("closure") if base is not None else None
    return describe_closure(
        {address.spec: names for address, names in closure.requested.items()},
        closure.references,
        {item.item.name: item.digest.fingerprint for item in closure.objects},
        below,
    )


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


def _plans(
    target: Target, closure: ImageClosure, base_layers: int
) -> Tuple[List[PlannedLayer], List[PlannedLayer]]:
    """The layers of the image, and those that are built only to know what to link to."""
    graph = Graph((item.item for item in closure.objects), closure.references)
    if target[LayeredImageIncludeStoreField].value:
        return _plan(target, closure, graph, base_layers), []
    stored = [item.item.name for item in closure.objects if item.root]
    placed = [item.item.name for item in closure.objects if not item.root]
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
    try:
        settings = PlanSettings(
            max_layers=target[LayeredImageMaxLayersField].value or 0,
            base_layers=base_layers,
            strategy=_with_names(thawed(target[LayeredImageLayeringField].value), names),
            groups={group: _with_names(list(items), names) for group, items in groups.items()},
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


def _interpreter_packages(closure: ImageClosure) -> Tuple[ProvidedObject, ...]:
    """The interpreter's package and those it refers to: what its program needs to run.

    What those refer to is for extension modules, and compiling bytecode imports none. Empty for an
    interpreter that a base image brings.
    """
    if closure.interpreter is None or not closure.interpreter.object_name:
        return ()
    name = closure.interpreter.object_name
    needed = {name, *closure.references[name]}
    return tuple(item for item in closure.objects if item.item.name in needed)


def _size(members: Tuple[LayerMember, ...]) -> int:
    return sum(member.provided.item.size for member in members)


def _members(
    target: Target, plan: List[PlannedLayer], closure: ImageClosure
) -> List[Tuple[LayerMember, ...]]:
    objects = {item.item.name: item for item in closure.objects}
    omit: Mapping[str, Tuple[str, ...]] = target[LayeredImageOmitPathsField].value or FrozenDict()
    for pattern in omit:
        if not any(fnmatchcase(name, pattern) for name in objects):
            raise LayeredImageError(
                target.address,
                f"{pattern!r} matches no object of the image; the objects are "
                f"{', '.join(sorted(objects))}",
                LayeredImageOmitPathsField.alias,
            )

    def omitted(name: str) -> Tuple[str, ...]:
        return tuple(
            path
            for pattern, paths in sorted(omit.items())
            if fnmatchcase(name, pattern)
            for path in paths
        )

    return [
        tuple(LayerMember(objects[name], omitted(name)) for name in planned.members)
        for planned in plan
    ]


def _image(
    target: Target,
    config: FrozenDict,
    created: int,
    base: BaseImage,
    layers: List[Tuple[BuiltLayer, str]],
) -> Image:
    name: Optional[str] = target[ImageNameField].value
    settings = ImageSettings(
        name=name or target.address.target_name,
        tags=tuple(target[LayeredImageTagsField].value or ()),
        architecture=target[LayeredImageArchitectureField].value or "",
        created=created,
        config=merged_config(base.config.get("config") or {}, thawed(config)),
        base_layers=base.layers,
        base_history=tuple(base.config.get("history") or ()),
    )
    try:
        return build_image(
            settings,
            [ImageLayer.from_json(json.loads(layer.metadata), reason) for layer, reason in layers],
        )
    except StrataError as error:
        raise LayeredImageError(target.address, error, ImageNameField.alias)


def rules():
    return collect_rules()
