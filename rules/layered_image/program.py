"""Engine programs that people start: they see the terminal, the environment and the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from pants.engine.fs import AddPrefix, CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.process import InteractiveProcess
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.engine import (
    add_prefix,
    collect_rules,
    concurrently,
    create_digest,
    implicitly,
    merge_digests,
    rule,
)
from layered_image.libraries.resolve import LibraryRequest, resolve_library
from layered_image.strata_process import EnginePython, EngineSources

_SPEC = "spec.json"


@dataclass(frozen=True)
class ProgramRequest:
    """One run of ``strata PROGRAM``. ``spec`` is its JSON text, ``folders`` maps folder names to
    what they hold, ``libraries`` names libraries that it needs, ``caches`` maps names of Pants'
    named caches to folders."""

    program: str
    spec: str
    folders: FrozenDict
    environment: FrozenDict
    arguments: Tuple[str, ...] = ()
    libraries: Tuple[str, ...] = ()
    caches: FrozenDict = FrozenDict()


@dataclass(frozen=True)
class Program:
    process: InteractiveProcess


@rule(desc="Prepare a program of the strata engine", level=LogLevel.DEBUG)
async def prepare_program(
    request: ProgramRequest, engine: EngineSources, python: EnginePython
) -> Program:
    libraries = await concurrently(
        resolve_library(LibraryRequest(name), **implicitly()) for name in request.libraries
    )
    merged = await merge_digests(MergeDigests(item.digest for item in libraries))
    spec = await create_digest(CreateDigest([FileContent(_SPEC, request.spec.encode())]))
    folders = {**request.folders, "engine": engine.digest, "libraries": merged}
    placed = await concurrently(
        add_prefix(AddPrefix(digest, folder)) for folder, digest in sorted(folders.items())
    )
    digest: Digest = await merge_digests(MergeDigests([spec, *placed]))
    return Program(
        InteractiveProcess(
            argv=(python.path, "-IB", "engine", request.program, _SPEC, *request.arguments),
            input_digest=digest,
            append_only_caches=request.caches,
            # Engines have their settings there, and programs what terminal it is.
            env=request.environment,
        )
    )


def rules():
    return collect_rules()
