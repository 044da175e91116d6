"""What one member of a layer is, before it is framed as tar."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Mapping, Optional, Union

from strata.errors import StrataError


class EntryType(str, Enum):
    """Member types, valued as the tar type flags of POSIX.1-2017 pax, section "ustar"."""

    FILE = "0"
    HARDLINK = "1"
    SYMLINK = "2"
    CHARACTER_DEVICE = "3"
    BLOCK_DEVICE = "4"
    DIRECTORY = "5"
    FIFO = "6"


@dataclass(frozen=True)
class FileRange:
    """``size`` bytes of a file on disk, from ``offset`` on."""

    path: Union[str, Path]
    size: int
    offset: int = 0


Content = Union[bytes, FileRange]


@dataclass(frozen=True)
class Entry:
    """One member of a layer.

    ``path`` is relative to the image's root, with ``/`` between its parts and none at either end.
    ``mode`` holds the permission bits with setuid, setgid and sticky. ``link`` is a symbolic
    link's text as it is, or a hard link's target as a path like ``path``. ``xattrs`` maps full
    names (``security.capability``) to raw values. ``mtime``, in seconds since the epoch, is what an
    archive said: layers have one time for all. ``uname`` and ``gname`` are names of the owner and
    the group for whoever unpacks by name; empty ones leave it to the numbers.
    """

    path: str
    type: EntryType = EntryType.FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: Content = b""
    link: str = ""
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    device: Optional[tuple[int, int]] = None
    mtime: int = field(default=1, compare=False)
    uname: str = ""
    gname: str = ""

    @property
    def size(self) -> int:
        if self.type is not EntryType.FILE:
            return 0
        return len(self.content) if isinstance(self.content, bytes) else self.content.size

    @property
    def is_directory(self) -> bool:
        return self.type is EntryType.DIRECTORY

    def read(self) -> bytes:
        """The whole content, for small files."""
        if isinstance(self.content, bytes):
            return self.content
        with open(self.content.path, "rb") as source:
            source.seek(self.content.offset)
            return source.read(self.content.size)

    def owned_by(self, uid: int, gid: int, uname: str = "", gname: str = "") -> "Entry":
        return replace(self, uid=uid, gid=gid, uname=uname, gname=gname)


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, EntryType.DIRECTORY, mode)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, EntryType.SYMLINK, 0o777, link=target)


def checked_path(path: str, owner: str) -> str:
    """``path`` if a layer can hold it.

    Raises StrataError for an absolute, empty or ``..`` path and for a name that is not UTF-8
    (which Python's ``os.fsdecode`` turns into lone surrogates): image tools disagree about such
    names, so no layer may contain one.
    """
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise StrataError(
            f"{owner}: the path {path!r} cannot be stored in a layer: it must be relative, "
            "without empty, '.' or '..' parts"
        )
    if "\0" in path:
        raise StrataError(f"{owner}: the path {path!r} contains a NUL character; rename the file")
    try:
        path.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(path)
        raise StrataError(
            f"{owner}: the file name {raw!r} is not valid UTF-8 and cannot be stored in a layer; "
            "rename the file"
        ) from None
    for part in parts:
        if len(part.encode()) > 255:
            raise StrataError(
                f"{owner}: the file name {part[:40]!r}… has more than 255 bytes, which no Linux "
                "file system can hold; rename the file"
            )
    return path
