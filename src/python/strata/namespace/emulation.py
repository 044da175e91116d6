"""Calls that the kernel would refuse: they change records instead, and show them."""

from __future__ import annotations

import errno
import os
import stat
import struct
from dataclasses import replace
from typing import Callable, Dict, Mapping, NamedTuple, Tuple

from strata.namespace import linux
from strata.namespace.caller import Caller, File, GoOn, OpenFile
from strata.namespace.records import ATTRIBUTE, CAPABILITY_ATTRIBUTE, Record, Records

Arguments = Tuple[int, int, int, int, int, int]
#: Does a call for its caller, and returns what it returns. Raises GoOn and OSError.
Handler = Callable[[Caller, Arguments], int]

_FOLLOW = 0
_NOFOLLOW = linux.AT_SYMLINK_NOFOLLOW
_EMPTY = linux.AT_EMPTY_PATH
_HERE = linux.AT_FDCWD
_KEEP = 0xFFFFFFFF
_LONGEST_VALUE = 4096
_XATTR_CREATE = 1
_XATTR_REPLACE = 2


class Emulation:
    """Handlers by the names of the calls, over one tree's ``records``."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def handlers(self) -> Dict[str, Handler]:
        result: Dict[str, Handler] = {
            "stat": lambda caller, a: self._status(caller, _HERE, a[0], _FOLLOW, a[1]),
            "lstat": lambda caller, a: self._status(caller, _HERE, a[0], _NOFOLLOW, a[1]),
            "fstat": lambda caller, a: self._status(caller, a[0], 0, _EMPTY, a[1]),
            "newfstatat": lambda caller, a: self._status(caller, a[0], a[1], a[3], a[2]),
            "statx": self._extended_status,
            "chown": lambda caller, a: self._own(caller, _HERE, a[0], _FOLLOW, a[1:3]),
            "lchown": lambda caller, a: self._own(caller, _HERE, a[0], _NOFOLLOW, a[1:3]),
            "fchown": lambda caller, a: self._own(caller, a[0], 0, _EMPTY, a[1:3]),
            "fchownat": lambda caller, a: self._own(caller, a[0], a[1], a[4], a[2:4]),
            "mknod": lambda caller, a: self._make_device(caller, _HERE, *a[:3]),
            "mknodat": lambda caller, a: self._make_device(caller, *a[:4]),
        }
        for prefix, flags in (("", _FOLLOW), ("l", _NOFOLLOW), ("f", _EMPTY)):
            for name, handler in self._attribute_handlers(flags).items():
                result[f"{prefix}{name}"] = handler
        return result

    def _attribute_handlers(self, flags: int) -> Mapping[str, Handler]:
        return {
            "setxattr": lambda caller, a: self._set_attribute(caller, a, flags),
            "getxattr": lambda caller, a: self._get_attribute(caller, a, flags),
            "removexattr": lambda caller, a: self._remove_attribute(caller, a, flags),
        }

    def _status(self, caller: Caller, folder: int, path: int, flags: int, target: int) -> int:
        with caller.open(folder, path, flags) as file:
            record = self._shown_record(file)
            data = linux.raw_stat(file.handle)
        _STATUS_LAYOUT.patch(data, file.status, record)
        caller.write(target, bytes(data))
        return 0

    def _extended_status(self, caller: Caller, arguments: Arguments) -> int:
        folder, path, flags, mask, target, _ = arguments
        with caller.open(folder, path, flags) as file:
            record = self._shown_record(file)
            data = linux.raw_statx(file.handle, mask)
        if record.owner is not None:
            struct.pack_into("=II", data, 20, *record.owner)
        if record.device is not None:
            kind, major, minor = record.device
            struct.pack_into("=H", data, 28, kind | stat.S_IMODE(file.status.st_mode))
            struct.pack_into("=II", data, 128, major, minor)
        caller.write(target, bytes(data))
        return 0

    def _shown_record(self, file: File) -> Record:
        record = self._records.read(file.path, file.status, follow=True)
        owner = self._records.owner(record, file.status)
        if record.device is None and owner == (file.status.st_uid, file.status.st_gid):
            raise GoOn
        return replace(record, owner=owner)

    def _own(self, caller: Caller, folder: int, path: int, flags: int, ids: Tuple[int, ...]) -> int:
        uid, gid = (number & _KEEP for number in ids)
        with caller.open(folder, path, flags) as file:
            record = self._records.read(file.path, file.status, follow=True)
            held = self._records.owner(record, file.status)
            owner = (held[0] if uid == _KEEP else uid, held[1] if gid == _KEEP else gid)
            if stat.S_ISREG(file.status.st_mode):
                _lose_privileges(file)
                record = replace(record, capability=None)
            elif not stat.S_ISDIR(file.status.st_mode):
                # Brings a file of a lower layer up: its inode must not change after this.
                times = (file.status.st_atime_ns, file.status.st_mtime_ns)
                os.utime(file.path, ns=times)
                file = File(file.handle, os.fstat(file.handle))
            self._records.write(file.path, file.status, replace(record, owner=owner), follow=True)
        return 0

    def _make_device(self, caller: Caller, folder: int, path: int, mode: int, device: int) -> int:
        kind = stat.S_IFMT(mode)
        if kind not in (stat.S_IFCHR, stat.S_IFBLK):
            raise GoOn
        name = caller.name(folder, path)
        mode = stat.S_IMODE(mode) & ~caller.umask()
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0)
        try:
            os.fchmod(handle, mode)
            record = Record(device=(kind, os.major(device), os.minor(device)))
            self._records.write(f"self/fd/{handle}", os.fstat(handle), record, follow=True)
        finally:
            os.close(handle)
        return 0

    def _set_attribute(self, caller: Caller, arguments: Arguments, flags: int) -> int:
        where, name, value, size, how, _ = arguments
        _check_attribute(caller, name)
        if size > _LONGEST_VALUE:
            raise OSError(errno.EINVAL, "capabilities are shorter")
        with _open_target(caller, where, flags) as file:
            if not stat.S_ISREG(file.status.st_mode):
                raise OSError(errno.EINVAL, "only files have capabilities")
            record = self._records.read(file.path, file.status, follow=True)
            if how == _XATTR_CREATE and record.capability is not None:
                raise OSError(errno.EEXIST, "it has capabilities")
            if how == _XATTR_REPLACE and record.capability is None:
                raise OSError(errno.ENODATA, "it has no capabilities")
            record = replace(record, capability=caller.read(value, size))
            self._records.write(file.path, file.status, record, follow=True)
        return 0

    def _get_attribute(self, caller: Caller, arguments: Arguments, flags: int) -> int:
        where, name, target, size, _, _ = arguments
        _check_attribute(caller, name)
        with _open_target(caller, where, flags) as file:
            capability = self._records.read(file.path, file.status, follow=True).capability
        if capability is None:
            raise OSError(errno.ENODATA, "it has no capabilities")
        if size:
            if size < len(capability):
                raise OSError(errno.ERANGE, "too small")
            caller.write(target, capability)
        return len(capability)

    def _remove_attribute(self, caller: Caller, arguments: Arguments, flags: int) -> int:
        where, name = arguments[:2]
        _check_attribute(caller, name)
        with _open_target(caller, where, flags) as file:
            record = self._records.read(file.path, file.status, follow=True)
            if record.capability is None:
                raise OSError(errno.ENODATA, "it has no capabilities")
            record = replace(record, capability=None)
            self._records.write(file.path, file.status, record, follow=True)
        return 0


def _lose_privileges(file: File) -> None:
    """As chown(2) does: no set-user-ID bit and no capabilities are left."""
    mode = stat.S_IMODE(file.status.st_mode)
    lost = stat.S_ISUID | (stat.S_ISGID if mode & stat.S_IXGRP else 0)
    if mode & lost:
        os.chmod(file.path, mode & ~lost)
    try:
        os.removexattr(file.path, CAPABILITY_ATTRIBUTE)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM):
            raise


def _check_attribute(caller: Caller, address: int) -> None:
    name = caller.text(address)
    if name == ATTRIBUTE.encode():
        raise OSError(errno.EPERM, "it is the supervisor's own")
    if name != CAPABILITY_ATTRIBUTE.encode():
        raise GoOn


def _open_target(caller: Caller, where: int, flags: int) -> OpenFile:
    if flags & _EMPTY:
        return caller.open(where, 0, flags)
    return caller.open(_HERE, where, flags)


class _StatusLayout(NamedTuple):
    """Where ``struct stat`` has its mode, its owner and its device number."""

    mode: int
    uid: int
    device: int

    def patch(self, data: bytearray, status: os.stat_result, record: Record) -> None:
        if record.owner is not None:
            struct.pack_into("=II", data, self.uid, *record.owner)
        if record.device is not None:
            kind, major, minor = record.device
            struct.pack_into("=I", data, self.mode, kind | stat.S_IMODE(status.st_mode))
            struct.pack_into("=Q", data, self.device, os.makedev(major, minor))


_LAYOUTS = {"x86_64": _StatusLayout(24, 28, 40), "aarch64": _StatusLayout(16, 24, 32)}
_STATUS_LAYOUT = _LAYOUTS.get(os.uname().machine, _LAYOUTS["x86_64"])
