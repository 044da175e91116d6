"""Processes that run the engine, with all they need as inputs.

A process has the engine and its libraries in its sandbox and takes nothing from the
machine but a ``python3`` at a fixed place. So its key is equal on every machine, and it runs on a
remote execution server too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

from pants.core.util_rules.system_binaries import BinaryPathRequest
from pants.engine.fs import CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.process import Process, ProcessCacheScope
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

import strata
from layered_image.engine import (
    collect_rules,
    concurrently,
    create_digest,
    execute_process,
    find_binary,
    implicitly,
    merge_digests,
    rule,
)
from layered_image.libraries.resolve import LibraryRequest, resolve_library
from layered_image.subsystem import LayeredImageSubsystem

_SPEC = "spec.json"
_ENGINE = "engine"
# Isolated and without site: what is installed on a machine is out of reach, and Python starts in
# less time. So it does from the file rather than the folder, and without modules of the standard
# library that are not used.
_ARGUMENTS = ("-ISB", f"{_ENGINE}/__main__.py")
# A process that ends well has written them, so it did not run here.
_NO_OUTPUT = (
    "a cache or execution server answered without the outputs. Clear its action cache, or leave "
    "what is in it behind with [GLOBAL].process_execution_cache_namespace. The server must know "
    "`output_files` of the remote execution API, which 2.1 deprecates and Pants before 2.33 sends"
)

# How long a remote cache may take to answer before Pants starts the process beside it, to use what
# comes first. By default it does so at once, and a team that shares a cache would run much for
# nothing. After the answer that there is no result it does not wait.
_HEAD_START_MILLIS = 1000


def _engine_files() -> Tuple[FileContent, ...]:
    """The engine's sources as they are loaded here, from a checkout or an installed plugin.

    Read once, at import: Pants watches the sources of its plugins and starts anew when they change.
    """
    package = Path(strata.__file__).parent
    files = [
        FileContent(f"strata/{path.relative_to(package).as_posix()}", path.read_bytes())
        for path in sorted(package.rglob("*.py"))
    ]
    main = package / "sandbox.py"
    return (*files, FileContent("__main__.py", main.read_bytes()))


_ENGINE_FILES = _engine_files()


@dataclass(frozen=True)
class StrataRequest:
    """One run of ``strata COMMAND``. ``spec`` is its JSON text; ``immutable`` maps folder names to
    digests that many processes share. ``compression`` names the encoder it needs, if any, and
    ``libraries`` others; ``caches`` maps names of Pants' named caches to folders. ``environment``
    is for those that talk to a registry: it is part of the key."""

    command: str
    spec: str
    description: str
    input_digest: Digest
    output_files: Tuple[str, ...] = ()
    output_directories: Tuple[str, ...] = ()
    immutable: FrozenDict = FrozenDict()
    compression: str = "none"
    libraries: Tuple[str, ...] = ()
    caches: FrozenDict = FrozenDict()
    environment: FrozenDict = FrozenDict()
    cache_scope: ProcessCacheScope = ProcessCacheScope.SUCCESSFUL


@dataclass(frozen=True)
class StrataResult:
    """``error`` is empty or the engine's message: whoever asked knows the target to blame."""

    digest: Digest
    error: str
    stdout: bytes


@dataclass(frozen=True)
class EngineSources:
    digest: Digest


@dataclass(frozen=True)
class EnginePython:
    """``path`` is absolute, and the same on every machine that shares a cache."""

    path: str


@rule(desc="Prepare the strata engine", level=LogLevel.DEBUG)
async def prepare_engine() -> EngineSources:
    return EngineSources(await create_digest(CreateDigest(_ENGINE_FILES)))


@rule(desc="Find a Python for the strata engine", level=LogLevel.DEBUG)
async def find_engine_python(options: LayeredImageSubsystem) -> EnginePython:
    python = await find_binary(
        BinaryPathRequest(binary_name="python3", search_path=options.python_search_path),
        **implicitly(),
    )
    if python.first_path is None:
        raise ValueError(
            "No `python3` in [layered-images].python_search_path "
            f"({', '.join(options.python_search_path)}): install Python 3.9 or newer there, or set "
            "the option to where it is on all your machines."
        )
    return EnginePython(python.first_path.path)


@rule(level=LogLevel.DEBUG)
async def run_strata(
    request: StrataRequest, engine: EngineSources, python: EnginePython
) -> StrataResult:
    names = sorted({request.compression, *request.libraries} - {"none"})
    resolved = await concurrently(
        resolve_library(LibraryRequest(name), **implicitly()) for name in names
    )
    libraries = await merge_digests(MergeDigests(item.digest for item in resolved))
    spec = await create_digest(CreateDigest([FileContent(_SPEC, request.spec.encode())]))
    inputs = await merge_digests(MergeDigests([spec, request.input_digest]))
    result = await execute_process(
        **implicitly(
            Process(
                argv=(python.path, *_ARGUMENTS, request.command, _SPEC),
                description=request.description,
                level=LogLevel.INFO,
                input_digest=inputs,
                immutable_input_digests={
                    _ENGINE: engine.digest,
                    **({"libraries": libraries} if names else {}),
                    **request.immutable,
                },
                env={**request.environment, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                output_files=request.output_files,
                output_directories=request.output_directories,
                append_only_caches=request.caches,
                cache_scope=request.cache_scope,
                remote_cache_speculation_delay_millis=_HEAD_START_MILLIS,
            )
        )
    )
    error = ""
    if result.exit_code:
        error = result.stderr.decode(errors="replace").strip() or f"exit code {result.exit_code}"
    elif request.output_files and not result.output_digest.serialized_bytes_length:
        error = _NO_OUTPUT
    return StrataResult(result.output_digest, error, result.stdout)


def rules():
    return collect_rules()
