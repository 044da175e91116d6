"""From a layer's blob to its plain tar, whoever compressed it."""

from __future__ import annotations

import gzip
import shutil
import zlib
from pathlib import Path
from typing import IO

from strata.errors import StrataError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20


def decompress_layer(blob: Path, target: Path) -> None:
    """Writes the tar in ``blob`` to ``target``; which compression it has is seen from its start.

    Raises StrataError for a damaged blob, or if a library is needed that is not at hand.
    """
    with open(blob, "rb") as file:
        magic = file.read(4)
        file.seek(0)
        try:
            with open(target, "wb") as out:
                shutil.copyfileobj(_reader(file, magic), out, _CHUNK)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise StrataError(f"the layer {blob.name} is damaged: {error}") from error


def _reader(file: IO[bytes], magic: bytes) -> IO[bytes]:
    if magic[:2] == _GZIP:
        return _gzip_reader(file)
    return _zstd_reader(file) if magic == _ZSTD else file


def _gzip_reader(file: IO[bytes]) -> IO[bytes]:
    reader: IO[bytes]
    try:
        from isal import igzip
    except ImportError:
        # Slower, and the same bytes.
        reader = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
    else:
        reader = igzip.IGzipFile(fileobj=file)  # type: ignore[assignment, no-untyped-call]
    return reader


def _zstd_reader(file: IO[bytes]) -> IO[bytes]:
    try:
        import zstandard
    except ImportError as error:
        raise StrataError(
            "a layer is compressed with zstd, and its library is not at hand; set "
            "compression='zstd' on the image"
        ) from error
    reader: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(file)
    return reader
