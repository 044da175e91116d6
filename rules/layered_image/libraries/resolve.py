"""Resolves a library for every interpreter that may run one of our processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pants.backend.python.target_types import PexLayout
from pants.backend.python.util_rules.pex import PexRequest
from pants.engine.fs import CreateDigest, Digest, FileContent, FileEntry
from pants.engine.platform import Platform
from pants.util.logging import LogLevel

from layered_image.engine import (
    build_pex,
    collect_rules,
    create_digest,
    get_digest_entries,
    implicitly,
    rule,
)

_NAMES = ("cyclonedx", "filelock", "gzip", "zstd")
# Each lock pins one library (see docs/dependencies.md).
_LOCKS = {name: (Path(__file__).parent / f"{name}.lock").read_bytes() for name in _NAMES}
_PURE = ("cyclonedx", "filelock")
_PYTHONS = ("39", "310", "311", "312", "313", "314")
_WHEEL_PLATFORMS = {
    "linux_x86_64": "manylinux2014_x86_64",
    "linux_arm64": "manylinux2014_aarch64",
    "macos_x86_64": "macosx_11_0_x86_64",
    "macos_arm64": "macosx_11_0_arm64",
}
# The rest of the wheels (a second backend, type stubs) would only make sandboxes larger.
_NEEDED = (
    "boolean/",
    "cyclonedx/",
    "defusedxml/",
    "filelock/",
    "isal/__init__.py",
    "isal/_isal.",
    "isal/_version.py",
    "isal/igzip_lib.",
    "isal/isal_zlib.",
    "license_expression/",
    "packageurl/",
    "py_serializable/",
    "sortedcontainers/",
    "typing_extensions.py",
    "zstandard/__init__.py",
    "zstandard/backend_c.",
)
# Type stubs, and schemas to validate with.
_LEFT_OUT = (".pyi", ".SNAPSHOT.xsd", "-defs.SNAPSHOT.schema.json") + tuple(
    f"{name}.SNAPSHOT.schema.json"
    for name in ("1.2", "1.2-strict", "1.3", "1.3-strict", "1.4", "1.5", "1.6", "1.7", "jsf-0.82")
)


@dataclass(frozen=True)
class LibraryRequest:
    """``name`` is that of a lock, such as a compression; ``"none"`` is no library."""

    name: str


@dataclass(frozen=True)
class Library:
    """``digest`` holds a folder for each interpreter tag: ``cp311/isal/…``, ``py3/filelock/…``."""

    digest: Digest


@rule(desc="Resolve a library of the engine", level=LogLevel.DEBUG)
async def resolve_library(request: LibraryRequest, platform: Platform) -> Library:
    if request.name == "none":
        return Library(await create_digest(CreateDigest([])))
    lock = await create_digest(CreateDigest([FileContent("library.lock", _LOCKS[request.name])]))
    tag = _WHEEL_PLATFORMS[platform.value]
    # Without compiled code there is one for all.
    pythons = _PYTHONS[:1] if request.name in _PURE else _PYTHONS
    pex = await build_pex(
        PexRequest(
            output_filename="library.pex",
            internal_only=False,
            layout=PexLayout.LOOSE,
            additional_inputs=lock,
            additional_args=(
                "--requirement=library.lock",
                *(f"--platform={tag}-cp-{python}-cp{python}" for python in pythons),
            ),
            description=f"Resolve the library for {request.name}",
        ),
        **implicitly(),
    )
    entries = await get_digest_entries(pex.digest)
    files = []
    for entry in entries:
        parts = entry.path.split("/", 3)
        if len(parts) < 4 or parts[1] != ".deps" or not isinstance(entry, FileEntry):
            continue
        if parts[3].startswith(_NEEDED) and not parts[3].endswith(_LEFT_OUT):
            # A pure wheel may be for Python 2 as well.
            tags = parts[2].split("-")[2].split(".")
            python = "py3" if "py3" in tags else tags[0]
            files.append(FileEntry(f"{python}/{parts[3]}", entry.file_digest, entry.is_executable))
    return Library(await create_digest(CreateDigest(files)))


def rules():
    return collect_rules()
