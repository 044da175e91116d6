"""From a customisation layer to the one that an image's commands make of it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Dict, List, Tuple

from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.core.target_types import FileSourceField, ResourceSourceField
from pants.core.util_rules.source_files import SourceFilesRequest
from pants.engine.addresses import Addresses, UnparsedAddressInputs
from pants.engine.fs import CreateDigest, Digest, DigestSubset, FileEntry, MergeDigests, PathGlobs
from pants.engine.process import ProcessCacheScope
from pants.engine.target import FieldSetsPerTargetRequest, SourcesField, Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.command_target_types import (
    LayeredImageCommandEnvField,
    LayeredImageCommandNetworkField,
    LayeredImageCommandTimeoutField,
    LayeredImageCommandToolsField,
    LayeredImageExtraCommandsField,
    LayeredImageFakerootChrootField,
    LayeredImageFakerootCommandsField,
)
from layered_image.engine import (
    collect_rules,
    concurrently,
    create_digest,
    determine_source_files,
    digest_subset_to_digest,
    environment_aware_package,
    find_valid_field_sets,
    get_digest_contents,
    get_digest_entries,
    implicitly,
    merge_digests,
    resolve_targets,
    resolve_unparsed_address_inputs,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.layers import BuiltLayer, LayerSettings, blob_entry
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.subsystem import LayeredImageSubsystem

logger = logging.getLogger(__name__)

_CACHE = "strata_layers"
_CACHE_FOLDER = ".strata-layers"
_CUSTOMISATION = "customisation.tar"
_TOOLS = "tools"
_FIELDS = (LayeredImageExtraCommandsField.alias, LayeredImageFakerootCommandsField.alias)


@dataclass(frozen=True)
class LowerLayer:
    """A layer below the customisation layer. ``blobs`` holds it at ``blobs/sha256/<hex>``."""

    blobs: Digest
    path: str
    diff_id: str


@dataclass(frozen=True)
class CommandsRequest:
    """``customisation`` is not compressed; ``settings`` say how the result is."""

    image: Target
    settings: LayerSettings
    customisation: BuiltLayer
    lower: Tuple[LowerLayer, ...]


@dataclass(frozen=True)
class PackagedToolRequest:
    image: Target
    text: str


@dataclass(frozen=True)
class PackagedTool:
    """``digest`` holds the program at ``tools/<name>``."""

    name: str
    digest: Digest


@rule(desc="Package a tool for an image's commands", level=LogLevel.DEBUG)
async def package_tool(request: PackagedToolRequest) -> PackagedTool:
    image = request.image
    field = LayeredImageCommandToolsField.alias
    addresses = await resolve_unparsed_address_inputs(
        UnparsedAddressInputs(
            [request.text],
            owning_address=image.address,
            description_of_origin=f"the `{field}` field of {image.address}",
        ),
        **implicitly(),
    )
    targets = await resolve_targets(**implicitly({addresses: Addresses}))
    if len(targets) != 1:
        raise LayeredImageError(
            image.address, f"{request.text} stands for {len(targets)} targets; name one", field
        )
    target = targets[0]
    if target.has_field(FileSourceField) or target.has_field(ResourceSourceField):
        sources = await determine_source_files(SourceFilesRequest([target[SourcesField]]))
        digest = sources.snapshot.digest
    else:
        packageable = await find_valid_field_sets(
            FieldSetsPerTargetRequest(PackageFieldSet, [target]), **implicitly()
        )
        if not packageable.field_sets:
            raise LayeredImageError(
                image.address,
                f"{target.address} (a `{target.alias}`) is no tool: name a target that `package` "
                "can build, a `file`, or a program of this machine by its bare name",
                field,
            )
        built = await environment_aware_package(
            EnvironmentAwarePackageRequest(packageable.field_sets[0])
        )
        digest = built.digest
    entries = await get_digest_entries(digest)
    files = [entry for entry in entries if isinstance(entry, FileEntry)]
    if len(files) != 1:
        raise LayeredImageError(
            image.address,
            f"{target.address} is {len(files)} files, and a tool is one program",
            field,
        )
    name = target.address.target_name
    if target.address.is_generated_target or target.has_field(FileSourceField):
        name = PurePath(files[0].path).name
    placed = FileEntry(f"{_TOOLS}/{name}", files[0].file_digest, is_executable=True)
    return PackagedTool(name, await create_digest(CreateDigest([placed])))


@rule(desc="Run an image's commands", level=LogLevel.DEBUG)
async def run_commands(request: CommandsRequest, options: LayeredImageSubsystem) -> BuiltLayer:
    image = request.image
    names = image[LayeredImageCommandToolsField].value or ()
    packaged = await concurrently(
        package_tool(PackagedToolRequest(image, name), **implicitly())
        for name in names
        if _is_address(name)
    )
    metadata = json.loads(request.customisation.metadata)
    (blob,) = await get_digest_entries(request.customisation.blobs)
    assert isinstance(blob, FileEntry), "a layer is one file"
    customisation = await create_digest(CreateDigest([FileEntry(_CUSTOMISATION, blob.file_digest)]))
    in_image = bool(image[LayeredImageFakerootChrootField].value)
    lower = request.lower if in_image else ()
    inputs = await merge_digests(
        MergeDigests(
            [
                customisation,
                *(tool.digest for tool in packaged),
                *{layer.blobs for layer in lower},
            ]
        )
    )
    network = bool(image[LayeredImageCommandNetworkField].value)
    if network:
        logger.warning(
            "%s: its commands use the network (`%s`), so their result is not cached, and the image "
            "may be another one each time.",
            image.address,
            LayeredImageCommandNetworkField.alias,
        )
    settings = request.settings
    spec = {
        "customisation": _CUSTOMISATION,
        "cache": _CACHE_FOLDER,
        "network": network,
        "compression": settings.compression,
        "mtime": settings.mtime,
        "owners": metadata["owners"],
        "parents": metadata["parents"],
        "scripts": _scripts(image, in_image),
        "tools": [name for name in names if not _is_address(name)],
        "packaged_tools": [
            {"name": tool.name, "path": f"{_TOOLS}/{tool.name}"} for tool in packaged
        ],
        "environment": dict(image[LayeredImageCommandEnvField].value or {}),
        "timeout": image[LayeredImageCommandTimeoutField].value,
        "memory": options.command_memory,
        "layers": [{"blob": layer.path, "diff_id": layer.diff_id} for layer in lower],
    }
    result = await run_strata(
        StrataRequest(
            command="run-commands",
            spec=json.dumps(spec, sort_keys=True),
            description=f"Commands of {image.address}",
            input_digest=inputs,
            output_files=("blob", "layer.json"),
            compression=settings.compression,
            libraries=("filelock", "gzip"),
            caches=FrozenDict({_CACHE: _CACHE_FOLDER}),
            cache_scope=ProcessCacheScope.PER_SESSION if network else ProcessCacheScope.SUCCESSFUL,
        ),
        **implicitly(),
    )
    output = result.stdout.decode(errors="replace").rstrip()
    if output:
        logger.debug("Commands of %s:\n%s", image.address, output)
    if result.error:
        return BuiltLayer(result.digest, result.digest, "", result.error)
    described = await digest_subset_to_digest(
        DigestSubset(result.digest, PathGlobs(["layer.json"]))
    )
    contents = await get_digest_contents(described)
    text = contents[0].content.decode()
    blobs = await create_digest(CreateDigest([blob_entry(text)]))
    nothing = await create_digest(CreateDigest([]))
    return BuiltLayer(blobs, nothing, text)


def commands_error(image: Target, message: str) -> LayeredImageError:
    """``message`` as the engine has it, which starts with the field that the commands are in."""
    field, _, rest = message.partition(": ")
    if field in (*_FIELDS, LayeredImageCommandToolsField.alias):
        return LayeredImageError(image.address, rest, field)
    return LayeredImageError(image.address, message, _FIELDS[1])


def _is_address(name: str) -> bool:
    return ":" in name or "/" in name


def _scripts(image: Target, in_image: bool) -> List[Dict[str, Any]]:
    extra, fakeroot = (
        image[field].value or ""
        for field in (LayeredImageExtraCommandsField, LayeredImageFakerootCommandsField)
    )
    scripts = [
        {"field": _FIELDS[0], "text": extra, "as_root": False, "in_image": False},
        {"field": _FIELDS[1], "text": fakeroot, "as_root": True, "in_image": in_image},
    ]
    return [script for script in scripts if str(script["text"]).strip()]


def rules():
    return collect_rules()
