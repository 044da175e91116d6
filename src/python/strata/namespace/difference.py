"""What commands changed, as the entries of a layer.

A pure function of the trees before and after, however they came to be: what was touched and is the
same is no change, and a folder that lost all it had is marked opaque (OCI image specification,
"Image Layer Filesystem Changeset").
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

from strata.archive.entry import Entry, EntryType, FileRange, checked_path
from strata.errors import StrataError
from strata.namespace.records import NO_RECORD, Records, kept_attributes
from strata.namespace.tree import OPAQUE, WHITEOUT

_CHUNK = 1 << 20
_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFCHR: EntryType.CHARACTER_DEVICE,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
}


class View:
    """A tree on disk, read as entries; ``records`` are its recorded owners."""

    def __init__(self, root: Path, records: Records) -> None:
        self.root = root
        self._records = records

    def names(self, path: str) -> List[str]:
        return sorted(os.listdir(self.root / path if path else self.root), key=os.fsencode)

    def status(self, path: str) -> Optional[os.stat_result]:
        """None where nothing is."""
        try:
            return os.lstat(self.root / path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def entry(self, path: str, status: os.stat_result) -> Optional[Entry]:
        """None for a socket, which no layer can hold."""
        file = self.root / path
        record = self._records.read(file, status) if self._records.used else NO_RECORD
        kind = stat.S_IFMT(status.st_mode) if record.device is None else record.device[0]
        if kind not in _TYPES:
            return None
        entry_type = _TYPES[kind]
        device = None
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            if record.device is not None:
                device = record.device[1:]
        xattrs = {} if entry_type is EntryType.SYMLINK else dict(kept_attributes(file))
        if record.capability is not None:
            xattrs["security.capability"] = record.capability
        uid, gid = self._records.owner(record, status)
        is_link = entry_type is EntryType.SYMLINK
        return Entry(
            checked_path(path, "the commands"),
            entry_type,
            0o777 if is_link else stat.S_IMODE(status.st_mode),
            uid,
            gid,
            FileRange(file, status.st_size) if entry_type is EntryType.FILE else b"",
            os.readlink(file) if is_link else "",
            xattrs,
            device,
        )


def difference(after: View, before: Optional[View], touched: View) -> List[Entry]:
    """The entries that turn ``before`` (None: nothing) into ``after``, with whiteouts.

    ``touched`` is a tree of at least what changed: overlayfs' upper folder, or ``after`` itself.
    Which names stand for one file is read from it. Raises StrataError for a name that no layer can
    hold.
    """
    found: Dict[str, Entry] = {}
    inodes: Dict[Tuple[int, int], List[str]] = {}
    needed: Set[str] = set()

    def visit(folder: str) -> None:
        held = _children(before, folder)
        for name in touched.names(folder):
            path = f"{folder}/{name}" if folder else name
            status = after.status(path)
            if status is None:
                continue
            entry = after.entry(path, status)
            if entry is None:
                continue
            found[path] = entry
            if not _is_same(entry, path, before):
                needed.add(path)
            if entry.is_directory:
                visit(path)
            elif entry.type is EntryType.FILE:
                inode = touched.status(path)
                if inode is not None and inode.st_nlink > 1:
                    inodes.setdefault((inode.st_dev, inode.st_ino), []).append(path)
        if held:
            _hide_missing(folder, held, set(after.names(folder)), found, needed)

    try:
        visit("")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise StrataError(
                f"the commands made a path that is too long: {str(error.filename)[-120:]}…"
            ) from error
        raise
    for path in list(needed):
        parent = path.rpartition("/")[0]
        while parent and parent not in needed:
            needed.add(parent)
            if parent not in found:
                found[parent] = _existing(after, parent)
            parent = parent.rpartition("/")[0]
    for paths in inodes.values():
        _join_names([path for path in paths if path in needed], found)
    return [found[path] for path in sorted(needed)]


def _existing(view: View, path: str) -> Entry:
    status = view.status(path)
    entry = view.entry(path, status) if status else None
    assert entry is not None, "the parent of something that is there is a folder"
    return entry


def _children(view: Optional[View], folder: str) -> List[str]:
    if view is None:
        return []
    status = view.status(folder)
    return view.names(folder) if status and stat.S_ISDIR(status.st_mode) else []


def _hide_missing(
    folder: str, held: List[str], left: Set[str], found: Dict[str, Entry], needed: Set[str]
) -> None:
    missing = [name for name in held if name not in left]
    prefix = f"{folder}/" if folder else ""
    if missing and len(missing) == len(held) and folder:
        missing, names = [], [OPAQUE]
    else:
        names = [f"{WHITEOUT}{name}" for name in missing]
    for name in names:
        path = f"{prefix}{name}"
        found[path] = Entry(checked_path(path, "the commands"), EntryType.FILE, 0o644)
        needed.add(path)


def _join_names(paths: List[str], found: Dict[str, Entry]) -> None:
    """Several names of one file: the first has the content, the others are hard links to it."""
    if len(paths) < 2:
        return
    first, *others = sorted(paths, key=str.encode)
    for path in others:
        found[path] = replace(
            found[path], type=EntryType.HARDLINK, content=b"", link=first, xattrs={}
        )


def _is_same(entry: Entry, path: str, before: Optional[View]) -> bool:
    if before is None:
        return False
    status = before.status(path)
    held = before.entry(path, status) if status else None
    if held is None or replace(held, content=b"") != replace(entry, content=b""):
        return False
    if not isinstance(entry.content, FileRange) or not isinstance(held.content, FileRange):
        return True
    return entry.size == held.size and _same_content(entry.content.path, held.content.path)


def _same_content(first: object, second: object) -> bool:
    with open(str(first), "rb") as one, open(str(second), "rb") as other:
        while True:
            chunk = one.read(_CHUNK)
            if chunk != other.read(_CHUNK):
                return False
            if not chunk:
                return True
