"""Owners, devices and capabilities that a file should have, where the kernel cannot give them.

With one id in the map nothing can belong to another, and no user namespace may make device nodes.
What the commands asked for is kept with the file: as an extended attribute, which goes wherever the
file goes, or, for what can have none (symbolic links, pipes), in a table of inodes.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple, Union

from strata.namespace import linux

ATTRIBUTE = "user.strata.record"
CAPABILITY_ATTRIBUTE = "security.capability"
# With EACCES: what this user may not read can be looked at, and has no record of ours.
_NOTHING = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES)
_Path = Union[str, Path]


@dataclass(frozen=True)
class Recording:
    """What this machine cannot do, so that it has to be recorded."""

    owners: bool = False
    devices: bool = False
    capabilities: bool = False

    def __bool__(self) -> bool:
        return self.owners or self.devices or self.capabilities


@dataclass(frozen=True)
class Record:
    """``device`` is a device's file type (``stat.S_IFCHR``, ``stat.S_IFBLK``) and its numbers."""

    owner: Optional[Tuple[int, int]] = None
    device: Optional[Tuple[int, int, int]] = None
    capability: Optional[bytes] = None

    def encoded(self) -> bytes:
        return b"%b;%b;%b" % (
            b"" if self.owner is None else b"%d:%d" % self.owner,
            b"" if self.device is None else b"%d:%d:%d" % self.device,
            b"" if self.capability is None else self.capability.hex().encode(),
        )

    @classmethod
    def decoded(cls, value: bytes) -> "Record":
        owner, device, capability = value.decode().split(";")
        uid, _, gid = owner.partition(":")
        numbers = [int(part) for part in device.split(":")] if device else []
        return cls(
            (int(uid), int(gid)) if owner else None,
            (numbers[0], numbers[1], numbers[2]) if numbers else None,
            bytes.fromhex(capability) if capability else None,
        )


NO_RECORD = Record()


class Records:
    """The records of one tree.

    ``used`` says whether any file may have a record: as long as none has, nothing needs looking up.
    ``own`` is the user and group whose files stand for root's, where no namespace makes them so.
    """

    def __init__(self, own: Optional[Tuple[int, int]] = None) -> None:
        # Owners of inodes by device and number, and by when the inode was made: numbers come back.
        self._table: Dict[Tuple[int, int], Dict[int, Tuple[int, int]]] = {}
        self._own = own
        self.used = own is not None

    def owner(self, record: Record, status: os.stat_result) -> Tuple[int, int]:
        """Whose a file is, by its record or by its status."""
        if record.owner is not None:
            return record.owner
        uid, gid = status.st_uid, status.st_gid
        if self._own is not None:
            uid = 0 if uid == self._own[0] else uid
            gid = 0 if gid == self._own[1] else gid
        return uid, gid

    def read(self, path: _Path, status: os.stat_result, follow: bool = False) -> Record:
        """``follow`` is for the links below ``/proc`` that stand for an open file."""
        if _takes_attributes(status.st_mode):
            try:
                return Record.decoded(os.getxattr(path, ATTRIBUTE, follow_symlinks=follow))
            except OSError as error:
                if error.errno in _NOTHING:
                    return NO_RECORD
                raise
        rows = self._table.get((status.st_dev, status.st_ino))
        if rows is None:
            return NO_RECORD
        return Record(owner=rows.get(_birth(path, follow)))

    def write(
        self, path: _Path, status: os.stat_result, record: Record, follow: bool = False
    ) -> None:
        """Raises OSError if the file system takes no attributes."""
        self.used = True
        if _takes_attributes(status.st_mode):
            os.setxattr(path, ATTRIBUTE, record.encoded(), follow_symlinks=follow)
        elif record.owner is not None:
            rows = self._table.setdefault((status.st_dev, status.st_ino), {})
            rows[_birth(path, follow)] = record.owner

    def rows(self) -> List[List[int]]:
        """The table as JSON, for ``add_rows`` in another process."""
        return [
            [*inode, birth, *owner]
            for inode, rows in sorted(self._table.items())
            for birth, owner in sorted(rows.items())
        ]

    def add_rows(self, rows: List[List[int]]) -> None:
        for device, inode, birth, uid, gid in rows:
            self._table.setdefault((device, inode), {})[birth] = (uid, gid)
            self.used = True


def _takes_attributes(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _birth(path: _Path, follow: bool) -> int:
    """When the inode was made, in nanoseconds; 0 where the file system does not know."""
    handle = os.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
    try:
        return linux.birth_time(handle)
    finally:
        os.close(handle)


def is_mark(name: str) -> bool:
    """Whether an attribute means something to us or to overlayfs: a layer must not forge it."""
    return name == ATTRIBUTE or name.startswith("user.overlay.")


def kept_attributes(path: _Path) -> Iterator[Tuple[str, bytes]]:
    """The extended attributes that a layer keeps: capabilities, and the user's own."""
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if name == CAPABILITY_ATTRIBUTE or (name.startswith("user.") and not is_mark(name)):
            yield name, os.getxattr(path, name, follow_symlinks=False)
