"""The wheels of a ``pex_binary``: one object each, with real references."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Dict, List, Tuple

from pants.backend.python.goals.package_pex_binary import PexBinaryFieldSet
from pants.backend.python.target_types import PexLayout
from pants.engine.fs import CreateDigest
from pants.util.logging import LogLevel

from layered_image.closure.manifest import (
    DescribedContent,
    DescribeRequest,
    Entry,
    describe_content,
    moved,
)
from layered_image.closure.manifest import rules as manifest_rules
from layered_image.engine import (
    build_pex_from_targets,
    collect_rules,
    concurrently,
    create_digest,
    get_digest_contents,
    get_digest_entries,
    implicitly,
    package_pex_binary,
    rule,
)
from strata.closure.python.metadata import WheelMetadata, parse_metadata

_OUTPUT = "deps.pex"
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


@dataclass(frozen=True)
class PexWheelsRequest:
    field_set: PexBinaryFieldSet


@dataclass(frozen=True)
class PexWheel:
    """``paths`` are what it puts into ``site-packages``."""

    file_name: str
    metadata: WheelMetadata
    content: DescribedContent
    paths: Tuple[str, ...]


@dataclass(frozen=True)
class PexWheels:
    """``module`` and ``function``, or ``script``, are what the PEX would start."""

    wheels: Tuple[PexWheel, ...]
    module: str = ""
    function: str = ""
    script: str = ""


@rule(desc="Find the wheels of a pex_binary", level=LogLevel.DEBUG)
async def find_wheels(request: PexWheelsRequest) -> PexWheels:
    built = await package_pex_binary(request.field_set, **implicitly())
    # Name, entry point and sources are taken out, so that binaries with equal requirements share
    # one resolve and its cache entry.
    pex = await build_pex_from_targets(
        dataclasses.replace(
            built.request,
            layout=PexLayout.LOOSE,
            include_source_files=False,
            main=None,
            inject_args=(),
            inject_env=type(built.request.inject_env)(),
            additional_args=(),
            output_filename=_OUTPUT,
            warn_for_transitive_files_targets=False,
        ),
        **implicitly(),
    )
    entries = await get_digest_entries(pex.digest)
    by_wheel: Dict[str, List[Entry]] = defaultdict(list)
    for entry in entries:
        parts = entry.path.split("/", 3)
        if len(parts) == 4 and parts[1] == ".deps":
            by_wheel[parts[2]].append(moved(entry, parts[3]))
    names = sorted(by_wheel)
    metadata_digest = await create_digest(
        CreateDigest(
            moved(entry, f"{name}/METADATA")
            for name in names
            for entry in by_wheel[name]
            if _METADATA.fullmatch(entry.path)
        )
    )
    texts = await get_digest_contents(metadata_digest)
    metadata = {
        text.path.partition("/")[0]: parse_metadata(text.content.decode()) for text in texts
    }
    contents = await concurrently(
        describe_content(DescribeRequest(tuple(by_wheel[name])), **implicitly()) for name in names
    )
    main = built.request.main
    return PexWheels(
        tuple(
            PexWheel(name, metadata[name], content, tuple(e.path for e in by_wheel[name]))
            for name, content in zip(names, contents)
        ),
        module=getattr(main, "module", "") or "",
        function=getattr(main, "function", "") or "",
        script=getattr(main, "name", "") or "",
    )


def rules():
    return [*collect_rules(), *manifest_rules()]
