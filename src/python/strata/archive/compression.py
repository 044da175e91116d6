"""Layer compression with pinned encoders.

``gzip`` is ISA-L's deflate and ``zstd`` is libzstd's, each in one fixed build (see
``docs/dependencies.md``): distributions swap the zlib behind Python's own ``gzip`` for others that
give other bytes. Input reaches an encoder in chunks of a fixed size, because encoders may end a
match where a call ends.
"""

from __future__ import annotations

from enum import Enum
from typing import Callable, NamedTuple

from strata.errors import StrataError


class Compression(str, Enum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def media_type(self) -> str:
        """The layer media type of the OCI image specification ("Image Layer Filesystem
        Changeset")."""
        suffix = "" if self is Compression.NONE else f"+{self.value}"
        return f"application/vnd.oci.image.layer.v1.tar{suffix}"


class Encoder(NamedTuple):
    """A stream encoder: feed ``encode`` in order, then take the rest from ``finish`` once."""

    encode: Callable[[memoryview], bytes]
    finish: Callable[[], bytes]


#: The encoder's version is part of every layer's key.
ENCODERS = {"none": "", "gzip": "isal==1.9.1", "zstd": "zstandard==0.25.0"}
_GZIP_LEVEL = 2
_ZSTD_LEVEL = 3


def encoder(compression: Compression) -> Encoder:
    """A fresh encoder. Raises StrataError if its library cannot be imported."""
    if compression is Compression.NONE:
        return Encoder(bytes, bytes)
    try:
        return _gzip() if compression is Compression.GZIP else _zstd()
    except ImportError as error:
        raise StrataError(
            f"compression {compression.value!r} needs {ENCODERS[compression.value]}, which cannot "
            f"be imported here: {error}. Install it, or choose compression 'none'."
        ) from error


def _gzip() -> Encoder:
    from isal import isal_zlib

    # RFC 1952 with a header that says nothing: no time, no name, an unknown operating system.
    deflate = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, 16 + 15)
    return Encoder(deflate.compress, deflate.flush)


def _zstd() -> Encoder:
    import zstandard

    # One thread: with worker threads zstd cuts its input into jobs and gives other bytes.
    stream = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True, threads=0)
    compressor = stream.compressobj()
    return Encoder(compressor.compress, compressor.flush)
