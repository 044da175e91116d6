"""Entries as files on disk, with the owners that they should have or records of them."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Dict, Iterable, List

from strata.archive.entry import Entry, EntryType, FileRange
from strata.archive.writer import ordered, relinked
from strata.errors import StrataError
from strata.namespace.records import Record, Recording, Records, is_mark

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
#: How overlayfs marks a folder that hides what lower layers have in it, with ``userxattr``.
OPAQUE_ATTRIBUTE = "user.overlay.opaque"
_KINDS = {EntryType.CHARACTER_DEVICE: stat.S_IFCHR, EntryType.BLOCK_DEVICE: stat.S_IFBLK}


def write_tree(
    entries: Iterable[Entry], root: Path, recording: Recording, records: Records, overlaid: bool
) -> None:
    """Writes ``entries`` below ``root``, an empty folder or the tree of lower layers.

    Whiteouts (OCI image specification, "Image Layer Filesystem Changeset") become overlayfs'
    with ``overlaid``, and otherwise remove what is there. Raises StrataError for what this machine
    cannot make, and OSError when the disk is full.
    """
    plain: List[Entry] = []
    removed: List[Entry] = []
    for entry in entries:
        (removed if entry.path.rpartition("/")[2].startswith(WHITEOUT) else plain).append(entry)
    _check_parents(plain, removed)
    if not overlaid:
        for entry in removed:
            _remove(entry, root)
    folders: List[Entry] = []
    links: List[Entry] = []
    named = {entry.path for entry in plain}
    for entry in ordered(_with_parents(plain, removed, root)):
        path = root / entry.path
        if entry.is_directory:
            # A parent that the layer does not name stays as lower layers have it.
            if _make_folder(path) or entry.path in named:
                folders.append(entry)
            continue
        _clear(path)
        if entry.type is EntryType.HARDLINK:
            links.append(entry)
            continue
        _make(entry, path, recording, records)
    for entry in links:
        _link(entry, root)
    if overlaid:
        for entry in removed:
            _hide(entry, root)
    # Last: a folder that nobody may write to can be filled before.
    for entry in reversed(folders):
        _finish(entry, root / entry.path, recording, records)


def _check_parents(plain: List[Entry], removed: List[Entry]) -> None:
    """No entry lies below one that is no folder: a link would lead out of the tree."""
    leaves = {entry.path for entry in plain if not entry.is_directory}
    for entry in (*plain, *removed):
        parent = entry.path.rpartition("/")[0]
        while parent:
            if parent in leaves:
                raise StrataError(
                    f"a layer has /{entry.path}, which lies below /{parent}, and that is no folder "
                    "there; make the layer anew"
                )
            parent = parent.rpartition("/")[0]


def _is_folder(root: Path, path: str) -> bool:
    """Whether ``path`` is a folder of the tree, and no part of it a link to one."""
    while path:
        try:
            if not stat.S_ISDIR(os.lstat(root / path).st_mode):
                return False
        except (FileNotFoundError, NotADirectoryError):
            return False
        path = path.rpartition("/")[0]
    return True


def _with_parents(plain: List[Entry], removed: List[Entry], root: Path) -> List[Entry]:
    """With the folders that only hold whiteouts, which have to be there too."""
    present: Dict[str, Entry] = {entry.path: entry for entry in relinked(plain)}
    for entry in removed:
        parent = entry.path.rpartition("/")[0]
        if parent and parent not in present and not _is_folder(root, parent):
            present[parent] = Entry(parent, EntryType.DIRECTORY, 0o755)
    return list(present.values())


def _make_folder(path: Path) -> bool:
    """Whether it was not there."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return False
        os.unlink(path)
        os.mkdir(path, 0o700)
    return True


def _clear(path: Path) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(path)


def _make(entry: Entry, path: Path, recording: Recording, records: Records) -> None:
    if entry.type is EntryType.FILE:
        _write_file(entry, path)
    elif entry.type is EntryType.SYMLINK:
        os.symlink(entry.link, path)
    elif entry.type is EntryType.FIFO:
        os.mkfifo(path)
    elif recording.devices:
        _write_file(entry, path)
    else:
        assert entry.device is not None, "only devices are left"
        os.mknod(path, _KINDS[entry.type] | 0o600, os.makedev(*entry.device))
    _finish(entry, path, recording, records)


def _write_file(entry: Entry, path: Path) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        content = entry.content
        if not isinstance(content, FileRange):
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest) :]
            return
        source = os.open(content.path, os.O_RDONLY)
        try:
            offset, left = content.offset, content.size
            while left:
                count = os.sendfile(handle, source, offset, left)
                if not count:
                    raise StrataError(f"{entry.path!r} ended {left} bytes before its size")
                offset, left = offset + count, left - count
        finally:
            os.close(source)
    finally:
        os.close(handle)


def _finish(entry: Entry, path: Path, recording: Recording, records: Records) -> None:
    """Owner, mode and attributes, in this order: a new owner clears mode bits."""
    record = Record()
    if recording.owners:
        if (entry.uid, entry.gid) != (0, 0):
            record = Record(owner=(entry.uid, entry.gid))
    else:
        _give(entry, path)
    if recording.devices and entry.device is not None:
        major, minor = entry.device
        record = Record(record.owner, (_KINDS[entry.type], major, minor))
    if entry.type is not EntryType.SYMLINK:
        os.chmod(path, entry.mode)
    for name, value in entry.xattrs.items():
        if recording.capabilities and name == "security.capability":
            record = Record(record.owner, record.device, value)
        elif not is_mark(name):
            os.setxattr(path, name, value, follow_symlinks=False)
    if record != Record():
        records.write(path, os.lstat(path), record)
    # As in the image: bytecode, for one, holds the time of its source.
    os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)


def _give(entry: Entry, path: Path) -> None:
    try:
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise StrataError(
            f"/{entry.path} belongs to {entry.uid}:{entry.gid}, and this user has no subordinate "
            "id for that: give it a larger range in /etc/subuid and /etc/subgid"
        ) from error


def _link(entry: Entry, root: Path) -> None:
    target = root / entry.link
    try:
        os.link(target, root / entry.path, follow_symlinks=False)
    except FileNotFoundError:
        raise StrataError(f"the hard link /{entry.path} points at nothing: /{entry.link}") from None


def _hide(entry: Entry, root: Path) -> None:
    parent, _, name = entry.path.rpartition("/")
    if name == OPAQUE:
        os.setxattr(root / parent, OPAQUE_ATTRIBUTE, b"y")
        return
    path = root / parent / name[len(WHITEOUT) :]
    if not os.path.lexists(path):
        # A character device 0:0, which needs no privileges.
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def _remove(entry: Entry, root: Path) -> None:
    parent, _, name = entry.path.rpartition("/")
    if not _is_folder(root, parent):
        return
    folder = root / parent
    if name == OPAQUE:
        for child in list(folder.iterdir()):
            _clear(child)
    else:
        _clear(folder / name[len(WHITEOUT) :])


def remove_tree(folder: Path) -> None:
    """Removes a tree that may hold folders which nobody may write to."""
    if not folder.exists():
        return
    for current, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(current, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder)


def copy_tree(source: Path, target: Path) -> None:
    """Copies what is in ``source`` into ``target``, with owners and attributes; contents are shared
    until they change where the file system can do that.

    Names of one file become files of their own, as they do where overlayfs copies one up. Raises
    StrataError when there is no room.
    """
    target.mkdir(exist_ok=True)
    command = ["/bin/cp", "-a", "--no-preserve=links", "--reflink=auto", "-T"]
    result = subprocess.run(
        [*command, str(source), str(target)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise StrataError(f"a copy of the image's files cannot be made: {result.stderr.strip()}")
