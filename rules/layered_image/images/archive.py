"""Archives of image layouts, for all targets that package one."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pants.engine.fs import AddPrefix, Digest
from pants.util.logging import LogLevel

from layered_image.engine import (
    LOCAL_SUCCESSFUL,
    add_prefix,
    collect_rules,
    implicitly,
    rule,
)
from layered_image.strata_process import StrataRequest, run_strata


@dataclass(frozen=True)
class ArchiveRequest:
    """``command`` is ``archive`` (the layout's files) or ``flatten`` (the image's root).

    ``compression`` names the encoder that the process needs.
    """

    layout: Digest
    path: str
    command: str = "archive"
    compression: str = "none"


@dataclass(frozen=True)
class Archive:
    digest: Digest
    error: str


@rule(desc="Write an archive", level=LogLevel.DEBUG)
async def write_archive(request: ArchiveRequest) -> Archive:
    placed = await add_prefix(AddPrefix(request.layout, "layout"))
    spec = {"layout": "layout", "output": request.path, "compression": request.compression}
    result = await run_strata(
        StrataRequest(
            command=request.command,
            spec=json.dumps(spec, sort_keys=True),
            description=f"Write {request.path}",
            input_digest=placed,
            output_files=(request.path,),
            compression=request.compression,
            # It is made of blobs that caches have already.
            cache_scope=LOCAL_SUCCESSFUL,
        ),
        **implicitly(),
    )
    return Archive(result.digest, result.error)


def rules():
    return collect_rules()
