"""Files made in folders with the set-group-ID bit: they get the folder's group, see inode(7).

The kernel does that itself, but for a group that is only recorded.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Dict

from strata.namespace import linux
from strata.namespace.caller import Caller, File, GoOn, OpenFile
from strata.namespace.emulation import Handler
from strata.namespace.records import Record, Records

_HERE = linux.AT_FDCWD
_CREATE_AND_WRITE = os.O_CREAT | os.O_WRONLY | os.O_TRUNC


class MadeFile(Exception):
    """The call returns a descriptor: that of the open file ``handle``, given to the caller."""

    def __init__(self, handle: int, flags: int) -> None:
        super().__init__(handle)
        self.handle = handle
        self.flags = flags


class Inheritance:
    """Handlers, by the names of the calls, of all that make files."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def handlers(self) -> Dict[str, Handler]:
        return {
            "mkdir": lambda caller, a: self._make_folder(caller, _HERE, a[0], a[1]),
            "mkdirat": lambda caller, a: self._make_folder(caller, *a[:3]),
            "mknod": lambda caller, a: self._make_pipe(caller, _HERE, a[0], a[1]),
            "mknodat": lambda caller, a: self._make_pipe(caller, *a[:3]),
            "symlink": lambda caller, a: self._make_link(caller, a[0], _HERE, a[1]),
            "symlinkat": lambda caller, a: self._make_link(caller, *a[:3]),
            "creat": lambda caller, a: self._create(caller, _HERE, a[0], _CREATE_AND_WRITE, a[1]),
            "open": lambda caller, a: self._create(caller, _HERE, *a[:3]),
            "openat": lambda caller, a: self._create(caller, *a[:4]),
        }

    def _make_folder(self, caller: Caller, folder: int, path: int, mode: int) -> int:
        name = caller.name(folder, path).rstrip("/")
        group = self._handed_down(name)
        os.mkdir(name, mode & 0o1777 & ~caller.umask())
        self._record(name, group)
        return 0

    def _make_pipe(self, caller: Caller, folder: int, path: int, mode: int) -> int:
        if stat.S_IFMT(mode) != stat.S_IFIFO:
            raise GoOn
        name = caller.name(folder, path)
        group = self._handed_down(name)
        os.mkfifo(name, mode & 0o7777 & ~caller.umask())
        self._record(name, group)
        return 0

    def _make_link(self, caller: Caller, text: int, folder: int, path: int) -> int:
        name = caller.name(folder, path)
        group = self._handed_down(name)
        os.symlink(caller.text(text), os.fsencode(name))
        self._record(name, group)
        return 0

    def _create(self, caller: Caller, folder: int, path: int, flags: int, mode: int) -> int:
        name = caller.name(folder, path)
        group = self._handed_down(name)
        mode = mode & 0o7777 & ~caller.umask()
        handle = os.open(name, flags | os.O_CLOEXEC | os.O_EXCL, mode)
        self._record(name, group)
        raise MadeFile(handle, flags)

    def _handed_down(self, name: str) -> int:
        """The group that a new file of this name gets. Raises GoOn if the kernel sees to it."""
        if os.path.lexists(name):
            raise GoOn
        try:
            with OpenFile(os.path.dirname(name) or "/", follow=True) as parent:
                return self._group(parent)
        except OSError as error:
            # The kernel has the right error for a folder that is not there.
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise GoOn from error
            raise

    def _group(self, parent: File) -> int:
        if not parent.status.st_mode & stat.S_ISGID:
            raise GoOn
        record = self._records.read(parent.path, parent.status, follow=True)
        if record.owner is None:
            raise GoOn
        return record.owner[1]

    def _record(self, name: str, group: int) -> None:
        self._records.write(name, os.lstat(name), Record(owner=(0, group)))
