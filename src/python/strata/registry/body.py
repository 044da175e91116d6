"""What a request sends: bytes that can be sent again, because a connection may be cut."""

from __future__ import annotations

import io
import threading
from typing import BinaryIO, Callable, Iterator, Optional

from strata.registry.errors import RegistryError

#: Called with how many bytes of a blob are through, counted from its start.
OnPosition = Callable[[int], None]

_PIECE = 256 << 10


class Cancelled(Exception):
    """Somebody else failed, and this work is of no use any more."""


class Body:
    """``size`` bytes, given piece by piece, as often as asked."""

    size = 0

    def pieces(self) -> Iterator[bytes]:
        return iter(())


class BytesBody(Body):
    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content

    def pieces(self) -> Iterator[bytes]:
        yield self._content


class BlobSource:
    """Where a blob's bytes come from. ``size`` is in bytes."""

    size: int

    def open(self, offset: int) -> BinaryIO:
        """A stream of the bytes from ``offset`` on; the caller closes it."""
        raise NotImplementedError


class FileSource(BlobSource):
    """A blob that is a file, as those of an OCI image layout are."""

    def __init__(self, path: str, size: int) -> None:
        self.size = size
        self._path = path

    def open(self, offset: int) -> BinaryIO:
        file = open(self._path, "rb")  # noqa: SIM115 - the caller closes it
        file.seek(offset)
        return file


class BytesSource(BlobSource):
    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content

    def open(self, offset: int) -> BinaryIO:
        return io.BytesIO(self._content[offset:])


class SourceBody(Body):
    """The part of a blob from ``offset`` on that is ``size`` bytes long.

    ``cancelled`` is looked at between pieces and ends the sending with Cancelled.
    """

    def __init__(
        self,
        source: BlobSource,
        offset: int,
        size: int,
        on_position: Optional[OnPosition] = None,
        cancelled: Optional[threading.Event] = None,
    ) -> None:
        self.size = size
        self._source = source
        self._offset = offset
        self._on_position = on_position
        self._cancelled = cancelled

    def pieces(self) -> Iterator[bytes]:
        left = self.size
        with self._source.open(self._offset) as stream:
            while left:
                if self._cancelled is not None and self._cancelled.is_set():
                    raise Cancelled
                piece = stream.read(min(left, _PIECE))
                if not piece:
                    raise RegistryError(f"a blob ended {left} bytes before its size")
                left -= len(piece)
                yield piece
                if self._on_position is not None:
                    self._on_position(self._offset + self.size - left)
