"""Decompression of the members of a .deb, deb(5), in constant memory."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, BinaryIO, Callable, Dict, Iterator

from strata.errors import StrataError

_CHUNK = 1 << 20

#: What decodes one stream, by a member's suffix.
_DECODERS: Dict[str, Callable[[], Any]] = {
    "bz2": bz2.BZ2Decompressor,
    "gz": lambda: zlib.decompressobj(wbits=31),
    "lzma": lzma.LZMADecompressor,
    "xz": lzma.LZMADecompressor,
}


class DamagedError(Exception):
    """The compressed data is malformed or incomplete."""


def decompress(name: str, source: BinaryIO, size: int, out: BinaryIO, owner: str) -> None:
    """Writes what the next ``size`` bytes of ``source`` hold to ``out``.

    ``name`` is the member's, such as ``data.tar.xz``; without a suffix after ``.tar`` the bytes are
    copied. Raises DamagedError for malformed data, and StrataError for a compression that is
    unknown or whose library this process lacks.
    """
    suffix = name.rpartition(".")[2]
    chunks = _chunks(source, size)
    if suffix == "tar":
        for chunk in chunks:
            out.write(chunk)
    elif suffix == "zst":
        _decode_zstd(chunks, out, owner)
    elif suffix in _DECODERS:
        _decode(_DECODERS[suffix], chunks, out)
    else:
        raise StrataError(
            f"{owner}: the compression of {name} is not supported; it can be one of "
            f"{', '.join(sorted([*_DECODERS, 'zst']))} or none"
        )


def _chunks(source: BinaryIO, left: int) -> Iterator[bytes]:
    while left:
        data = source.read(min(left, _CHUNK))
        if not data:
            raise DamagedError("the file ends early")
        yield data
        left -= len(data)


def _decode(make: Callable[[], Any], chunks: Iterator[bytes], out: BinaryIO) -> None:
    """Decodes one stream after the other: parallel compressors write several."""
    decoder = make()
    for rest in chunks:
        while True:
            if decoder.eof:
                if not rest:
                    break
                decoder = make()
            try:
                data = decoder.decompress(rest, _CHUNK)
            except (zlib.error, lzma.LZMAError, OSError) as error:
                raise DamagedError(str(error)) from error
            out.write(data)
            if decoder.eof:
                rest = decoder.unused_data
            else:
                # Only zlib hands back what it had no room for; the others keep it.
                rest = getattr(decoder, "unconsumed_tail", b"")
                if not rest and len(data) < _CHUNK:
                    break
    if not decoder.eof:
        raise DamagedError("the compressed data ends early")


def _decode_zstd(chunks: Iterator[bytes], out: BinaryIO, owner: str) -> None:
    """Frames that end early are not noticed here: the tar within lacks its end, then."""
    try:
        import zstandard
    except ImportError as error:
        raise StrataError(
            f"{owner}: the package is compressed with zstd, and the zstandard library is not "
            "available in this process; set compression='zstd' on the layered_image"
        ) from error
    writer = zstandard.ZstdDecompressor().stream_writer(out, write_size=_CHUNK, closefd=False)
    try:
        for chunk in chunks:
            writer.write(chunk)
    except zstandard.ZstdError as error:
        raise DamagedError(str(error)) from error
