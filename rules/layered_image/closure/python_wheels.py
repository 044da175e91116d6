"""The wheels of a ``pex_binary``: one object each, with real references."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Dict, List, Tuple

from pants.backend.python.goals.package_pex_binary import PexBinaryFieldSet
from pants.backend.python.target_types import PexCompletePlatformsField, PexLayout
from pants.backend.python.util_rules.pex import CompletePlatforms
from pants.engine.fs import CreateDigest, DigestSubset, PathGlobs
from pants.engine.process import ProcessExecutionFailure
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
    digest_subset_to_digest,
    get_digest_contents,
    get_digest_entries,
    implicitly,
    package_pex_binary,
    rule,
)
from layered_image.errors import LayeredImageError
from strata.closure.python.complete_platforms import choose_complete_platforms
from strata.closure.python.metadata import PythonPlatform, WheelMetadata, parse_metadata
from strata.errors import StrataError
from strata.platforms import MACHINES

_OUTPUT = "deps.pex"
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


@dataclass(frozen=True)
class PexWheelsRequest:
    """``platform`` is the image's: of the target's ``complete_platforms`` only those for it are
    taken, so that each image has its own wheels and no others."""

    field_set: PexBinaryFieldSet
    platform: PythonPlatform


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
    address = request.field_set.address
    built = await package_pex_binary(request.field_set, **implicitly())
    platforms = built.request.complete_platforms
    if platforms:
        described = await get_digest_contents(platforms.digest)
        try:
            chosen = choose_complete_platforms(
                {file.path: file.content for file in described}, request.platform
            )
        except StrataError as error:
            raise LayeredImageError(address, error, PexCompletePlatformsField.alias)
        digest = await digest_subset_to_digest(DigestSubset(platforms.digest, PathGlobs(chosen)))
        platforms = CompletePlatforms(chosen, digest=digest)
    # Name, entry point and sources are taken out, so that binaries with equal requirements share
    # one resolve and its cache entry.
    wanted = dataclasses.replace(
        built.request,
        complete_platforms=platforms,
        layout=PexLayout.LOOSE,
        include_source_files=False,
        main=None,
        inject_args=(),
        inject_env=type(built.request.inject_env)(),
        additional_args=(),
        output_filename=_OUTPUT,
        warn_for_transitive_files_targets=False,
    )
    try:
        pex = await build_pex_from_targets(wanted, **implicitly())
    except ProcessExecutionFailure as error:
        raise LayeredImageError(
            address,
            f"its wheels cannot be resolved for CPython {request.platform.minor} on Linux "
            f"{MACHINES[request.platform.architecture]}, which the image is for:\n"
            f"{error.stderr.decode(errors='replace').strip()}\n"
            "Where a requirement has no wheel for it, choose another version, or leave the "
            "architecture out of the image",
            PexCompletePlatformsField.alias,
        ) from None
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
