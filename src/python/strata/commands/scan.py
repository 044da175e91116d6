"""``strata scan``: what lies where in the root of a base image.

Writes ``root.json``, an ``ImageRoot``, from the layers' blobs, in one pass over each.
"""

from __future__ import annotations

import tarfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Dict, Iterator

from strata.commands.layer import write_json
from strata.errors import StrataError
from strata.oci.root import LayerMember, RootBuilder

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def run(spec: Dict[str, Any], out: Path) -> None:
    """``spec["layers"]`` are files, the bottom one first. Raises StrataError, naming
    ``spec["origin"]``, for a layer that is missing or no archive."""
    builder = RootBuilder()
    for name in spec["layers"]:
        blob = Path(name)
        where = f"{spec['origin']}: the layer {'/'.join(blob.parts[-3:])}"
        if not blob.is_file():
            raise StrataError(f"{where} is missing")
        try:
            with _opened(blob, where) as archive:
                builder.apply(_member(member) for member in archive)
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise StrataError(f"{where} is damaged: {error}") from error
    write_json(out / "root.json", builder.finished().to_json())


def _member(member: tarfile.TarInfo) -> LayerMember:
    return LayerMember(
        member.name,
        member.isdir(),
        member.linkname if member.issym() else "",
        member.mode & 0o7777,
        member.uid,
        member.gid,
    )


@contextmanager
def _opened(blob: Path, where: str) -> Iterator[tarfile.TarFile]:
    with open(blob, "rb") as file:
        magic = file.read(4)
        file.seek(0)
        stream: IO[bytes] = file
        if magic == _ZSTD:
            stream = _zstd_reader(file, where)
        with tarfile.open(fileobj=stream, mode="r|gz" if magic[:2] == _GZIP else "r|") as archive:
            yield archive


def _zstd_reader(file: IO[bytes], where: str) -> IO[bytes]:
    try:
        import zstandard
    except ImportError as error:
        raise StrataError(
            f"{where} is compressed with zstd; set compression='zstd' on the layered_image, so "
            "that the library is at hand"
        ) from error
    reader: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(file)
    return reader
