"""The Linux calls that namespaces need and that Python 3.9 does not wrap.

Each raises OSError with the kernel's error number. See the manual pages of the same names.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import socket
import struct
from pathlib import Path
from typing import Collection, Dict, Union

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000

CAP_SETPCAP = 8
CAP_SYS_CHROOT = 18
CAP_SYS_ADMIN = 21
CAP_MKNOD = 27

_MNT_DETACH = 2
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_MOUNT_SETATTR = 442

#: Numbers of the calls that differ by architecture.
_CALLS: Dict[str, Dict[str, int]] = {
    "x86_64": {"pivot_root": 155, "seccomp": 317, "fstatat": 262, "statx": 332},
    "aarch64": {"pivot_root": 41, "seccomp": 277, "fstatat": 79, "statx": 291},
}

_STAT_SIZES = {"x86_64": 144, "aarch64": 128}
_STATX_BTIME = 0x800

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_Text = Union[str, Path]


def call_number(name: str) -> int:
    """Raises OSError (ENOSYS) on an architecture whose numbers are not known."""
    machine = platform.machine()
    if machine not in _CALLS:
        raise OSError(38, f"{name}: the calls of {machine} are not known")
    return _CALLS[machine][name]


def checked(result: int, what: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    checked(_libc.unshare(flags), "unshare")


def mount(source: _Text, target: _Text, kind: str = "", flags: int = 0, options: str = "") -> None:
    checked(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            options.encode() or None,
        ),
        f"mount {kind or 'bind'} on {target}",
    )


def unmount(target: _Text) -> None:
    """Detaches a mount with all that is below it."""
    checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def make_read_only(target: _Text) -> None:
    """Makes a mount and all mounts below it read-only (Linux 5.12 and later)."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    checked(
        _libc.syscall(
            _MOUNT_SETATTR,
            AT_FDCWD,
            os.fsencode(target),
            _AT_RECURSIVE,
            attributes,
            ctypes.c_size_t(len(attributes)),
        ),
        f"mount_setattr {target}",
    )


def enter_root(root: _Text) -> None:
    """Makes ``root``, a mount, the root of this mount namespace; the old one is gone."""
    os.chdir(root)
    checked(_libc.syscall(call_number("pivot_root"), b".", b"."), f"pivot_root to {root}")
    checked(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Call it in the child, after every change of ids: those undo it."""
    checked(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl PDEATHSIG")


def hide_from_others() -> None:
    """No other process may trace this one, or look into it through /proc."""
    checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl DUMPABLE")


def own_proc_files() -> None:
    """Undoes ``hide_from_others``, which also takes a process' files in /proc from it."""
    checked(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl DUMPABLE")


def adopt_orphans() -> None:
    checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl SUBREAPER")


def forbid_new_privileges() -> None:
    checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl NO_NEW_PRIVS")


def set_host_name(name: str) -> None:
    encoded = name.encode()
    checked(_libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), "sethostname")


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        request = struct.pack("16sH14x", b"lo", flags | _IFF_UP)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def last_capability() -> int:
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def bound_capabilities(kept: Collection[int], last: int) -> None:
    """No program started from here gets capabilities, up to number ``last``, but ``kept``."""
    for number in range(last + 1):
        if number not in kept:
            checked(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "prctl CAPBSET_DROP")


def limit_capabilities(kept: Collection[int], last: int) -> None:
    """Gives up all capabilities, up to number ``last``, but those of ``kept`` that there are."""
    held = effective_capabilities()
    if held >> CAP_SETPCAP & 1:
        bound_capabilities(kept, last)
    checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl CAP_AMBIENT")
    mask = held & sum(1 << number for number in kept)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    checked(_libc.capset(header, data), "capset")


def effective_capabilities() -> int:
    """As a mask of capability numbers."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    checked(_libc.capget(header, data), "capget")
    low, high = struct.unpack_from("=I8xI", data.raw)
    return int(low | high << 32)


def seccomp(operation: int, flags: int, argument: "ctypes._SimpleCData[int] | object") -> int:
    return checked(
        int(_libc.syscall(call_number("seccomp"), operation, flags, argument)), "seccomp"
    )


def raw_stat(descriptor: int) -> bytearray:
    """``struct stat`` of an open file, as the kernel writes it."""
    buffer = ctypes.create_string_buffer(256)
    number = call_number("fstatat")
    checked(int(_libc.syscall(number, descriptor, b"", buffer, AT_EMPTY_PATH)), "fstatat")
    return bytearray(buffer.raw[: _STAT_SIZES[platform.machine()]])


def raw_statx(descriptor: int, mask: int) -> bytearray:
    """``struct statx`` of an open file."""
    buffer = ctypes.create_string_buffer(256)
    number = call_number("statx")
    checked(int(_libc.syscall(number, descriptor, b"", AT_EMPTY_PATH, mask, buffer)), "statx")
    return bytearray(buffer.raw)


def birth_time(descriptor: int) -> int:
    """When a file's inode was made, in nanoseconds; 0 where the file system does not know."""
    data = raw_statx(descriptor, _STATX_BTIME)
    (mask,) = struct.unpack_from("=I", data, 0)
    if not mask & _STATX_BTIME:
        return 0
    seconds, nanoseconds = struct.unpack_from("=qI", data, 80)
    return int(seconds * 10**9 + nanoseconds)


def system_call(number: int, *arguments: object) -> int:
    return int(_libc.syscall(number, *arguments))
