"""From entries to a blob in one pass: tar framing, diff ID, compression, digest, file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Dict, Iterable, List, Union

from strata.archive.compression import Compression, encoder
from strata.archive.entry import Entry, EntryType, FileRange, directory
from strata.archive.tar import BLOCK, END_OF_ARCHIVE, encode_header, padding
from strata.errors import StrataError

#: Encoders get their input in chunks of this many bytes, whatever the sizes of the files are.
CHUNK = 1 << 20
_ZEROES = bytes(BLOCK)


@dataclass(frozen=True)
class Blob:
    """A written layer. Digests are ``sha256:<hex>`` and sizes are in bytes; ``diff_id`` is the
    digest of the uncompressed tar (OCI image specification, "Layer DiffID")."""

    digest: str
    size: int
    diff_id: str
    uncompressed_size: int
    media_type: str


def ordered(entries: Iterable[Entry]) -> List[Entry]:
    """``entries`` with the parents they lack, sorted by path bytes, parents first.

    Raises StrataError if two entries have the same path.
    """
    by_path: Dict[str, Entry] = {}
    for entry in entries:
        if entry.path in by_path:
            raise StrataError(f"the path {entry.path!r} occurs twice in one layer")
        by_path[entry.path] = entry
    for path in list(by_path):
        parent = path.rpartition("/")[0]
        while parent and parent not in by_path:
            by_path[parent] = directory(parent)
            parent = parent.rpartition("/")[0]
    # UTF-8 sorts as its code points do, and a path sorts before everything that starts with it.
    return sorted(by_path.values(), key=lambda entry: entry.path.encode())


def write_layer(entries: Iterable[Entry], path: Path, compression: Compression, mtime: int) -> Blob:
    """Writes the layer of ``entries`` to ``path``.

    Memory does not grow with the layer. ``mtime``, in seconds since the epoch, is every entry's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        stream = _Stream(out, compression)
        for entry in ordered(entries):
            stream.write(encode_header(entry, mtime))
            if entry.size:
                stream.copy(entry)
                stream.write(_ZEROES[: padding(entry.size)])
        stream.write(END_OF_ARCHIVE)
        return stream.finish()


class _Stream:
    """Gathers bytes into chunks of CHUNK bytes; each full chunk is hashed, encoded and written."""

    def __init__(self, out: BinaryIO, compression: Compression) -> None:
        self._out = out
        self._compression = compression
        self._encoder = encoder(compression)
        self._diff = hashlib.sha256()
        # Without compression both digests are the same, and one pass is enough.
        self._digest = self._diff if compression is Compression.NONE else hashlib.sha256()
        self._chunk = memoryview(bytearray(CHUNK))
        self._filled = 0
        self._read = 0
        self._written = 0

    def write(self, data: Union[bytes, memoryview]) -> None:
        end = self._filled + len(data)
        if end < CHUNK:
            self._chunk[self._filled : end] = data
            self._filled = end
            return
        rest = memoryview(data)
        while rest:
            taken = min(len(rest), CHUNK - self._filled)
            self._chunk[self._filled : self._filled + taken] = rest[:taken]
            self._advance(taken)
            rest = rest[taken:]

    def copy(self, entry: Entry) -> None:
        """Raises StrataError if the file is shorter than its entry says."""
        content = entry.content
        if not isinstance(content, FileRange):
            self.write(content)
            return
        left = content.size
        # Most files are small: a file object would cost more than reading them.
        source = os.open(content.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if content.offset:
                os.lseek(source, content.offset, os.SEEK_SET)
            while left:
                room = self._chunk[self._filled : min(CHUNK, self._filled + left)]
                count = os.readv(source, (room,))
                if not count:
                    raise StrataError(f"{entry.path!r} ended {left} bytes before its size")
                self._advance(count)
                left -= count
        finally:
            os.close(source)

    def _advance(self, count: int) -> None:
        self._filled += count
        if self._filled == CHUNK:
            self._emit(self._chunk)

    def _emit(self, chunk: memoryview) -> None:
        self._diff.update(chunk)
        self._read += len(chunk)
        self._put(self._encoder.encode(chunk))
        self._filled = 0

    def _put(self, data: bytes) -> None:
        if self._digest is not self._diff:
            self._digest.update(data)
        self._written += len(data)
        self._out.write(data)

    def finish(self) -> Blob:
        if self._filled:
            self._emit(self._chunk[: self._filled])
        self._put(self._encoder.finish())
        return Blob(
            digest=f"sha256:{self._digest.hexdigest()}",
            size=self._written,
            diff_id=f"sha256:{self._diff.hexdigest()}",
            uncompressed_size=self._read,
            media_type=self._compression.media_type,
        )


def relinked(entries: Iterable[Entry]) -> List[Entry]:
    """``entries`` with hard links that point at the first of their names in layer order.

    A layer is sorted by path, and a link's target has to come before it. Raises StrataError for a
    link without a target.
    """
    by_path = {entry.path: entry for entry in entries}
    groups: Dict[str, List[str]] = {}
    for entry in by_path.values():
        if entry.type is EntryType.HARDLINK:
            seen = {entry.path}
            target = entry.link
            while (
                target in by_path
                and target not in seen
                and by_path[target].type is EntryType.HARDLINK
            ):
                seen.add(target)
                target = by_path[target].link
            if target not in by_path or target in seen:
                raise StrataError(f"the hard link /{entry.path} points at nothing: /{entry.link}")
            groups.setdefault(target, [target]).append(entry.path)
    for target, names in groups.items():
        first = min(names, key=lambda name: name.encode())
        content = by_path[target]
        for name in names:
            by_path[name] = replace(
                content, path=name, type=EntryType.HARDLINK, content=b"", link=first
            )
        by_path[first] = replace(content, path=first)
    return list(by_path.values())
