"""Archives that hold files of an image, beside the layers that are archives themselves."""

from __future__ import annotations

from typing import IO, Sequence, Tuple

from strata.archive.compression import Compression, encoder
from strata.archive.entry import Content, Entry, FileRange
from strata.archive.tar import END_OF_ARCHIVE, encode_header, padding
from strata.archive.writer import CHUNK

_COPY = 1 << 20
#: The modification time of the members, in seconds since the epoch. It says nothing about an image.
_MTIME = 1


class Compressed:
    """Compresses what is written, in chunks of a fixed size, as layers are."""

    def __init__(self, out: IO[bytes], compression: Compression) -> None:
        self._out = out
        self._plain = compression is Compression.NONE
        self._encoder = encoder(compression)
        self._held = bytearray()

    def write(self, data: bytes) -> None:
        if self._plain:
            self._out.write(data)
            return
        self._held += data
        while len(self._held) >= CHUNK:
            self._out.write(self._encoder.encode(memoryview(bytes(self._held[:CHUNK]))))
            del self._held[:CHUNK]

    def finish(self) -> None:
        if self._held:
            self._out.write(self._encoder.encode(memoryview(bytes(self._held))))
        self._out.write(self._encoder.finish())


def write_members(found: Sequence[Tuple[str, Content]], out: Compressed) -> None:
    """A tar of regular files, by path. Files are copied as they are, and read once."""
    for name, content in found:
        entry = Entry(name, content=content)
        out.write(encode_header(entry, _MTIME))
        if isinstance(content, FileRange):
            with open(content.path, "rb") as source:
                while chunk := source.read(_COPY):
                    out.write(chunk)
        else:
            out.write(content)
        out.write(bytes(padding(entry.size)))
    out.write(END_OF_ARCHIVE)
    out.finish()
