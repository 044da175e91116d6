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

_NAMES = ("filelock", "gzip", "zstd")
# Each lock pins one library (see docs/dependencies.md).
_LOCKS = {name: (Path(__file__).parent / f"{name}.lock").read_bytes() for name in _NAMES}
_PYTHONS = ("39", "310", "311", "312", "313", "314")
_WHEEL_PLATFORMS = {
    "linux_x86_64": "manylinux2014_x86_64",
    "linux_arm64": "manylinux2014_aarch64",
    "macos_x86_64": "macosx_11_0_x86_64",
    "macos_arm64": "macosx_11_0_arm64",
}
# The rest of the wheels (a second backend, type stubs) would only make sandboxes larger.
_NEEDED = (
    "filelock/",
    "isal/__init__.py",
    "isal/_isal.",
    "isal/_version.py",
    "isal/igzip_lib.",
    "isal/isal_zlib.",
    "zstandard/__init__.py",
    "zstandard/backend_c.",
)


@dataclass(frozen=True)
class EncodersRequest:
    """``compression`` names a lock; ``"none"`` needs no library."""

    compression: str


@dataclass(frozen=True)
class Encoders:
    """``digest`` holds a folder for each interpreter tag: ``cp311/isal/…``, ``py3/filelock/…``."""

    digest: Digest


@rule(desc="Resolve layer encoders", level=LogLevel.DEBUG)
async def resolve_encoders(request: EncodersRequest, platform: Platform) -> Encoders:
    if request.compression == "none":
        return Encoders(await create_digest(CreateDigest([])))
    lock = await create_digest(
        CreateDigest([FileContent("encoders.lock", _LOCKS[request.compression])])
    )
    tag = _WHEEL_PLATFORMS[platform.value]
    pex = await build_pex(
        PexRequest(
            output_filename="encoders.pex",
            internal_only=False,
            layout=PexLayout.LOOSE,
            additional_inputs=lock,
            additional_args=(
                "--requirement=encoders.lock",
                *(f"--platform={tag}-cp-{python}-cp{python}" for python in _PYTHONS),
            ),
            description=f"Resolve the library for {request.compression}",
        ),
        **implicitly(),
    )
    entries = await get_digest_entries(pex.digest)
    files = []
    for entry in entries:
        parts = entry.path.split("/", 3)
        if len(parts) < 4 or parts[1] != ".deps" or not isinstance(entry, FileEntry):
            continue
        if parts[3].startswith(_NEEDED) and not parts[3].endswith(".pyi"):
            python = parts[2].split("-")[2]
            files.append(FileEntry(f"{python}/{parts[3]}", entry.file_digest, entry.is_executable))
    return Encoders(await create_digest(CreateDigest(files)))


def rules():
    return collect_rules()
