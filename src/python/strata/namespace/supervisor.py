"""Answers the system calls that a filter hands over, seccomp_unotify(2).

What the kernel would refuse is recorded instead, and what was recorded is shown to whoever asks for
a file's status. Every other call goes on as it is. The supervisor has the commands' root folder and
their privileges, and no more: a program that changes a path while it is looked at gains nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import struct
from dataclasses import replace
from typing import Callable, Dict, Mapping, NamedTuple, Tuple

from strata.namespace import linux
from strata.namespace.records import (
    ATTRIBUTE,
    CAPABILITY_ATTRIBUTE,
    Record,
    Recording,
    Records,
)
from strata.namespace.seccomp import STATUS_CALLS, names_by_number

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_STILL_THERE = 0x40082102
_CONTINUE = 1
_REQUEST = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_PATH_MAX = 4096
_PAGE = 4096
_KEEP = 0xFFFFFFFF
_XATTR_CREATE = 1
_XATTR_REPLACE = 2

Arguments = Tuple[int, int, int, int, int, int]


class _GoOn(Exception):
    """The kernel may do this call itself."""


class _File(NamedTuple):
    """An open (``O_PATH``) file: its descriptor, and what it is."""

    handle: int
    status: os.stat_result

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.handle}"


class Supervisor:
    """``listener`` is the filter's descriptor; ``records`` grows with what the calls ask for."""

    def __init__(self, listener: int, recording: Recording, records: Records) -> None:
        self._listener = listener
        self._recording = recording
        self._records = records
        root = os.stat("/")
        self._root = (root.st_dev, root.st_ino)
        calls: Mapping[str, Callable[[int, Arguments], int]] = {
            "stat": lambda pid, a: self._status(pid, linux.AT_FDCWD, a[0], 0, a[1]),
            "lstat": lambda pid, a: self._status(
                pid, linux.AT_FDCWD, a[0], linux.AT_SYMLINK_NOFOLLOW, a[1]
            ),
            "fstat": lambda pid, a: self._status(pid, a[0], 0, linux.AT_EMPTY_PATH, a[1]),
            "newfstatat": lambda pid, a: self._status(pid, a[0], a[1], a[3], a[2]),
            "statx": self._extended_status,
            "chown": lambda pid, a: self._own(pid, linux.AT_FDCWD, a[0], 0, a[1], a[2]),
            "lchown": lambda pid, a: self._own(
                pid, linux.AT_FDCWD, a[0], linux.AT_SYMLINK_NOFOLLOW, a[1], a[2]
            ),
            "fchown": lambda pid, a: self._own(pid, a[0], 0, linux.AT_EMPTY_PATH, a[1], a[2]),
            "fchownat": lambda pid, a: self._own(pid, a[0], a[1], a[4], a[2], a[3]),
            "mknod": lambda pid, a: self._make_node(pid, linux.AT_FDCWD, a[0], a[1], a[2]),
            "mknodat": lambda pid, a: self._make_node(pid, a[0], a[1], a[2], a[3]),
            "setxattr": lambda pid, a: self._set_attribute(pid, a, 0),
            "lsetxattr": lambda pid, a: self._set_attribute(pid, a, linux.AT_SYMLINK_NOFOLLOW),
            "fsetxattr": lambda pid, a: self._set_attribute(pid, a, linux.AT_EMPTY_PATH),
            "getxattr": lambda pid, a: self._get_attribute(pid, a, 0),
            "lgetxattr": lambda pid, a: self._get_attribute(pid, a, linux.AT_SYMLINK_NOFOLLOW),
            "fgetxattr": lambda pid, a: self._get_attribute(pid, a, linux.AT_EMPTY_PATH),
            "removexattr": lambda pid, a: self._remove_attribute(pid, a, 0),
            "lremovexattr": lambda pid, a: self._remove_attribute(
                pid, a, linux.AT_SYMLINK_NOFOLLOW
            ),
            "fremovexattr": lambda pid, a: self._remove_attribute(pid, a, linux.AT_EMPTY_PATH),
        }
        self._calls: Dict[int, Callable[[int, Arguments], int]] = {
            number: calls[name] for number, name in names_by_number().items() if name in calls
        }
        self._status_calls = {
            number for number, name in names_by_number().items() if name in STATUS_CALLS
        }

    def serve(self, ended: int) -> None:
        """Answers until the process with the descriptor ``ended`` (pidfd_open(2)) has ended."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if ready.get(self._listener, 0) & select.POLLIN:
                self._answer()
            elif ready:
                return

    def _answer(self) -> None:
        try:
            request = fcntl.ioctl(self._listener, _RECEIVE, bytes(_REQUEST.size))
        except OSError as error:
            # The caller was killed while it waited.
            if error.errno in (errno.ENOENT, errno.EINTR):
                return
            raise
        identity, process, _, number, _, _, *arguments = _REQUEST.unpack(request)
        value, failure, flags = 0, 0, _CONTINUE
        if self._records.used or number not in self._status_calls:
            try:
                value = self._calls[number](process, tuple(arguments))
                flags = 0
            except _GoOn:
                pass
            except OSError as error:
                value, failure, flags = 0, -(error.errno or errno.EPERM), 0
        try:
            fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(identity, value, failure, flags))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _status(self, pid: int, folder: int, path: int, flags: int, target: int) -> int:
        with self._open(pid, folder, path, flags) as file:
            record = self._shown_record(file)
            data = linux.raw_stat(file.handle)
        _STATUS_LAYOUT.patch(data, file.status, record)
        linux.write_memory(pid, target, bytes(data))
        return 0

    def _extended_status(self, pid: int, arguments: Arguments) -> int:
        folder, path, flags, mask, target, _ = arguments
        with self._open(pid, folder, path, flags) as file:
            record = self._shown_record(file)
            data = linux.raw_statx(file.handle, mask)
        if record.owner is not None:
            struct.pack_into("=II", data, 20, *record.owner)
        if record.device is not None:
            kind, major, minor = record.device
            struct.pack_into("=H", data, 28, kind | stat.S_IMODE(file.status.st_mode))
            struct.pack_into("=II", data, 128, major, minor)
        linux.write_memory(pid, target, bytes(data))
        return 0

    def _shown_record(self, file: _File) -> Record:
        record = self._records.read(file.path, file.status, follow=True)
        owner = self._records.owner(record, file.status)
        if record.device is None and owner == (file.status.st_uid, file.status.st_gid):
            raise _GoOn
        return replace(record, owner=owner)

    def _own(self, pid: int, folder: int, path: int, flags: int, uid: int, gid: int) -> int:
        uid, gid = uid & _KEEP, gid & _KEEP
        with self._open(pid, folder, path, flags) as file:
            record = self._records.read(file.path, file.status, follow=True)
            held = self._records.owner(record, file.status)
            owner = (
                held[0] if uid == _KEEP else uid,
                held[1] if gid == _KEEP else gid,
            )
            if stat.S_ISREG(file.status.st_mode):
                self._lose_privileges(file)
                record = replace(record, capability=None)
            elif not stat.S_ISDIR(file.status.st_mode):
                # Brings a file of a lower layer up: its inode must not change after this.
                times = (file.status.st_atime_ns, file.status.st_mtime_ns)
                os.utime(file.path, ns=times)
                file = _File(file.handle, os.fstat(file.handle))
            self._records.write(file.path, file.status, replace(record, owner=owner), follow=True)
        return 0

    @staticmethod
    def _lose_privileges(file: _File) -> None:
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

    def _make_node(self, pid: int, folder: int, path: int, mode: int, device: int) -> int:
        kind = stat.S_IFMT(mode)
        if kind not in (stat.S_IFCHR, stat.S_IFBLK):
            raise _GoOn
        name = self._name(pid, folder, path)
        mode = stat.S_IMODE(mode) & ~_umask(pid)
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0)
        try:
            os.fchmod(handle, mode)
            record = Record(device=(kind, os.major(device), os.minor(device)))
            self._records.write(f"/proc/self/fd/{handle}", os.fstat(handle), record, follow=True)
        finally:
            os.close(handle)
        return 0

    def _set_attribute(self, pid: int, arguments: Arguments, flags: int) -> int:
        where, name, value, size, how, _ = arguments
        self._check_attribute(pid, name)
        if size > _PATH_MAX:
            raise OSError(errno.EINVAL, "capabilities are shorter")
        with self._open_target(pid, where, flags) as file:
            if not stat.S_ISREG(file.status.st_mode):
                raise OSError(errno.EINVAL, "only files have capabilities")
            record = self._records.read(file.path, file.status, follow=True)
            if how == _XATTR_CREATE and record.capability is not None:
                raise OSError(errno.EEXIST, "it has capabilities")
            if how == _XATTR_REPLACE and record.capability is None:
                raise OSError(errno.ENODATA, "it has no capabilities")
            capability = linux.read_memory(pid, value, size)
            record = replace(record, capability=capability)
            self._records.write(file.path, file.status, record, follow=True)
        return 0

    def _get_attribute(self, pid: int, arguments: Arguments, flags: int) -> int:
        where, name, target, size, _, _ = arguments
        self._check_attribute(pid, name)
        with self._open_target(pid, where, flags) as file:
            capability = self._records.read(file.path, file.status, follow=True).capability
        if capability is None:
            raise OSError(errno.ENODATA, "it has no capabilities")
        if size:
            if size < len(capability):
                raise OSError(errno.ERANGE, "too small")
            linux.write_memory(pid, target, capability)
        return len(capability)

    def _remove_attribute(self, pid: int, arguments: Arguments, flags: int) -> int:
        where, name = arguments[:2]
        self._check_attribute(pid, name)
        with self._open_target(pid, where, flags) as file:
            record = self._records.read(file.path, file.status, follow=True)
            if record.capability is None:
                raise OSError(errno.ENODATA, "it has no capabilities")
            record = replace(record, capability=None)
            self._records.write(file.path, file.status, record, follow=True)
        return 0

    def _check_attribute(self, pid: int, address: int) -> None:
        name = _read_text(pid, address)
        if name == ATTRIBUTE.encode():
            raise OSError(errno.EPERM, "it is the supervisor's own")
        if name != CAPABILITY_ATTRIBUTE.encode():
            raise _GoOn

    def _open_target(self, pid: int, where: int, flags: int) -> "_Open":
        if flags & linux.AT_EMPTY_PATH:
            return self._open(pid, where, 0, flags)
        return self._open(pid, linux.AT_FDCWD, where, flags)

    def _open(self, pid: int, folder: int, path: int, flags: int) -> "_Open":
        follow = 0 if flags & linux.AT_SYMLINK_NOFOLLOW else os.O_PATH
        return _Open(self._name(pid, folder, path, flags), bool(follow))

    def _name(self, pid: int, folder: int, path: int, flags: int = 0) -> str:
        """The file's path for this process, which has the same root folder."""
        text = _read_text(pid, path) if path else b""
        if text.startswith(b"/"):
            root = os.stat(f"/proc/{pid}/root")
            if (root.st_dev, root.st_ino) != self._root:
                # It has called chroot: its paths are not ours.
                raise _GoOn
            own = b"/proc/self/"
            if text.startswith(own):
                text = b"/proc/%d/%b" % (pid, text[len(own) :])
            return os.fsdecode(text)
        folder = folder & 0xFFFFFFFF
        folder -= (folder & 0x80000000) << 1
        base = f"/proc/{pid}/cwd" if folder == linux.AT_FDCWD else f"/proc/{pid}/fd/{folder}"
        if text:
            return f"{base}/{os.fsdecode(text)}"
        if not flags & linux.AT_EMPTY_PATH:
            raise OSError(errno.ENOENT, "an empty path")
        return base


class _Open:
    """A context manager for a file that is only looked up, not opened."""

    def __init__(self, name: str, follow: bool) -> None:
        # Names below /proc/PID/fd that end there stand for the open file itself.
        stands_for_file = name.startswith("/proc/") and name.count("/") == 4
        nofollow = 0 if follow or stands_for_file else os.O_NOFOLLOW
        self._handle = os.open(name, os.O_PATH | os.O_CLOEXEC | nofollow)

    def __enter__(self) -> _File:
        return _File(self._handle, os.fstat(self._handle))

    def __exit__(self, *exception: object) -> None:
        os.close(self._handle)


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


def _read_text(pid: int, address: int) -> bytes:
    """A path in another process' memory. Reads no further than the page that holds its end."""
    text = b""
    while len(text) < _PATH_MAX:
        part = linux.read_memory(pid, address, min(256, _PAGE - address % _PAGE))
        end = part.find(b"\0")
        if end >= 0:
            return text + part[:end]
        text += part
        address += len(part)
    raise OSError(errno.ENAMETOOLONG, "the path is too long")


def _umask(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    raise OSError(errno.EIO, "no umask")
