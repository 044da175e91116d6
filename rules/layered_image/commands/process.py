"""The process that runs commands over an image's layers: what is in its key, and what it gives."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Tuple

from pants.engine.fs import CreateDigest, Digest, DigestSubset, FileEntry, MergeDigests, PathGlobs
from pants.engine.process import ProcessCacheScope
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.commands.tools import PackagedTool
from layered_image.engine import (
    collect_rules,
    create_digest,
    digest_subset_to_digest,
    get_digest_contents,
    get_digest_entries,
    implicitly,
    merge_digests,
    rule,
)
from layered_image.images.layers import BuiltLayer, LayerSettings, blob_entry
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.subsystem import LayeredImageSubsystem
from strata.platforms import Platform

logger = logging.getLogger(__name__)

#: Where unpacked layers are in a sandbox, and which of Pants' named caches that is.
LAYERS_FOLDER = ".strata-layers"
LAYERS_CACHE = FrozenDict({"strata_layers": LAYERS_FOLDER})
_CUSTOMISATION = "customisation.tar"


@dataclass(frozen=True)
class LowerLayer:
    """A layer below the customisation layer. ``blobs`` holds it at ``blobs/sha256/<hex>``."""

    blobs: Digest
    path: str
    diff_id: str


@dataclass(frozen=True)
class CommandFile:
    """A file for commands to read at ``/.strata/files/<name>``; ``path`` is where it is in the
    request's ``files``."""

    name: str
    path: str


@dataclass(frozen=True)
class CommandProcessRequest:
    """``scripts`` is JSON text, as ``strata.namespace.settings.Script`` has them; the result's only
    member is named ``member``. ``customisation`` is not compressed; ``settings`` say how the result
    is. ``programs`` are this machine's."""

    description: str
    member: str
    scripts: str
    platform: Platform
    settings: LayerSettings
    customisation: BuiltLayer
    lower: Tuple[LowerLayer, ...]
    programs: Tuple[str, ...] = ()
    packaged: Tuple[PackagedTool, ...] = ()
    named_files: Tuple[CommandFile, ...] = ()
    files: Tuple[Digest, ...] = ()
    environment: FrozenDict = FrozenDict()
    timeout: int = 600
    network: bool = False


@rule(desc="Run commands over an image", level=LogLevel.DEBUG)
async def run_command_process(
    request: CommandProcessRequest, options: LayeredImageSubsystem
) -> BuiltLayer:
    """``listings`` of the result holds ``changes.json``: the paths that changed."""
    metadata = json.loads(request.customisation.metadata)
    (blob,) = await get_digest_entries(request.customisation.blobs)
    assert isinstance(blob, FileEntry), "a layer is one file"
    customisation = await create_digest(CreateDigest([FileEntry(_CUSTOMISATION, blob.file_digest)]))
    inputs = await merge_digests(
        MergeDigests(
            [
                customisation,
                *(tool.digest for tool in request.packaged),
                *request.files,
                *{layer.blobs for layer in request.lower},
            ]
        )
    )
    settings = request.settings
    spec = {
        "name": request.member,
        "architecture": str(request.platform),
        "customisation": _CUSTOMISATION,
        "cache": LAYERS_FOLDER,
        "network": request.network,
        "compression": settings.compression,
        "mtime": settings.mtime,
        "owners": metadata["owners"],
        "parents": metadata["parents"],
        "scripts": json.loads(request.scripts),
        "tools": request.programs,
        "packaged_tools": [{"name": tool.name, "path": tool.path} for tool in request.packaged],
        "files": [vars(file) for file in request.named_files],
        "environment": dict(request.environment),
        "timeout": request.timeout,
        "memory": options.command_memory,
        "layers": [{"blob": layer.path, "diff_id": layer.diff_id} for layer in request.lower],
    }
    result = await run_strata(
        StrataRequest(
            command="run-commands",
            spec=json.dumps(spec, sort_keys=True),
            description=request.description,
            input_digest=inputs,
            output_files=("blob", "layer.json", "changes.json"),
            compression=settings.compression,
            libraries=("filelock", "gzip"),
            caches=LAYERS_CACHE,
            cache_scope=ProcessCacheScope.PER_SESSION
            if request.network
            else ProcessCacheScope.SUCCESSFUL,
        ),
        **implicitly(),
    )
    output = result.stdout.decode(errors="replace").rstrip()
    if output:
        logger.debug("%s:\n%s", request.description, output)
    if result.error:
        return BuiltLayer(result.digest, result.digest, "", result.error)
    described = await digest_subset_to_digest(
        DigestSubset(result.digest, PathGlobs(["layer.json"]))
    )
    changes = await digest_subset_to_digest(
        DigestSubset(result.digest, PathGlobs(["changes.json"]))
    )
    contents = await get_digest_contents(described)
    text = contents[0].content.decode()
    blobs = await create_digest(CreateDigest([blob_entry(text)]))
    return BuiltLayer(blobs, changes, text)


def rules():
    return collect_rules()
