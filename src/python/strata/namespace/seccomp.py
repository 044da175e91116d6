"""The system call filter of commands, seccomp(2): what a build never needs is refused, and what
has to be recorded instead is handed to the supervisor.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
from typing import Dict, List, NamedTuple

from strata.namespace import linux
from strata.namespace.records import Recording
from strata.namespace.system_calls import SYSTEM_CALLS

_SET_MODE_FILTER = 1
_FLAG_NEW_LISTENER = 1 << 3
_ALLOW = 0x7FFF0000
_NOTIFY = 0x7FC00000
_ERROR = 0x00050000

# BPF: 32-bit loads of the call's data, comparisons and returns.
_LOAD = 0x20
_AND = 0x54
_EQUAL = 0x15
_GREATER_EQUAL = 0x35
_ANY_BIT = 0x45
_RETURN = 0x06
_NUMBER, _ARCHITECTURE = 0, 4

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: Calls of x32 have this bit.
_X32 = 0x40000000
_CLONE_NEWUSER = linux.CLONE_NEWUSER
_AF_UNIX = 1
_AF_NETLINK = 16

_REFUSED = (
    "acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "fsmount",
    "fsopen", "init_module", "io_uring_setup", "ioperm", "iopl", "kexec_file_load", "kexec_load",
    "keyctl", "mount", "mount_setattr", "move_mount", "name_to_handle_at", "open_by_handle_at",
    "open_tree", "perf_event_open", "pivot_root", "quotactl", "reboot", "request_key", "setns",
    "settimeofday", "swapoff", "swapon", "umount2", "unshare", "userfaultfd",
)  # fmt: skip
#: Calls that tell a file's status.
STATUS_CALLS = ("stat", "fstat", "lstat", "newfstatat", "statx")
_IDENTITIES = ("getuid", "getgid", "geteuid", "getegid")
_OWNERS = ("chown", "fchown", "lchown", "fchownat")
_MAKERS = ("mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat", "creat")
_CAPABILITIES = (
    "setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr",
    "removexattr", "lremovexattr", "fremovexattr",
)  # fmt: skip


class Instruction(NamedTuple):
    """``struct sock_filter``: jumps count the instructions to skip."""

    code: int
    if_true: int
    if_false: int
    value: int


def names_by_number() -> Dict[int, str]:
    """This architecture's calls, as far as filters know them. Raises OSError if none is known."""
    return {number: name for name, number in _table().items()}


def _table() -> Dict[str, int]:
    machine = platform.machine()
    if machine not in SYSTEM_CALLS:
        raise OSError(errno.ENOSYS, f"the system calls of {machine} are not known")
    return SYSTEM_CALLS[machine]


def program(
    recording: Recording, offline: bool = False, pretend_root: bool = False
) -> List[Instruction]:
    """The filter: refuses, notifies, and allows the rest.

    ``offline`` refuses sockets that reach beyond this machine's files, and ``pretend_root`` answers
    0 for every id of the caller: for where no namespace does either.
    """
    table = _table()
    architecture = _ARCHITECTURES[platform.machine()]
    refuse = _ERROR | errno.EPERM
    result = [
        Instruction(_LOAD, 0, 0, _ARCHITECTURE),
        # Calls of another architecture have other numbers: none is known, so none is there.
        Instruction(_EQUAL, 1, 0, architecture),
        Instruction(_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        Instruction(_LOAD, 0, 0, _NUMBER),
    ]
    if platform.machine() == "x86_64":
        result += [
            Instruction(_GREATER_EQUAL, 0, 1, _X32),
            Instruction(_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        ]

    def on(name: str, verdict: int) -> None:
        if name in table:
            result.append(Instruction(_EQUAL, 0, 1, table[name]))
            result.append(Instruction(_RETURN, 0, 0, verdict))

    for name in _REFUSED:
        on(name, refuse)
    # Its flags lie in memory, where no filter can look; without it libraries use clone.
    on("clone3", _ERROR | errno.ENOSYS)
    result += [
        Instruction(_EQUAL, 0, 4, table["clone"]),
        Instruction(_LOAD, 0, 0, _argument(0)),
        Instruction(_ANY_BIT, 0, 1, _CLONE_NEWUSER),
        Instruction(_RETURN, 0, 0, refuse),
        Instruction(_RETURN, 0, 0, _ALLOW),
    ]
    if offline:
        result += [
            Instruction(_EQUAL, 0, 5, table["socket"]),
            Instruction(_LOAD, 0, 0, _argument(0)),
            Instruction(_EQUAL, 2, 0, _AF_UNIX),
            Instruction(_EQUAL, 1, 0, _AF_NETLINK),
            Instruction(_RETURN, 0, 0, _ERROR | errno.ENETUNREACH),
            Instruction(_RETURN, 0, 0, _ALLOW),
        ]
    if pretend_root:
        for name in _IDENTITIES:
            # An error of 0 is the answer 0.
            on(name, _ERROR)
    if pretend_root or recording.capabilities:
        # setcap(8) makes sure that it may set capabilities before it does.
        on("capset", _ERROR)
    if recording:
        for name in STATUS_CALLS:
            on(name, _NOTIFY)
    if recording.owners:
        for name in _OWNERS:
            on(name, _NOTIFY)
        for name in _MAKERS:
            on(name, _NOTIFY)
        for name, position in (("open", 1), ("openat", 2)):
            if name in table:
                result += [
                    Instruction(_EQUAL, 0, 4, table[name]),
                    Instruction(_LOAD, 0, 0, _argument(position)),
                    Instruction(_ANY_BIT, 0, 1, os.O_CREAT),
                    Instruction(_RETURN, 0, 0, _NOTIFY),
                    Instruction(_RETURN, 0, 0, _ALLOW),
                ]
    if recording.capabilities:
        for name in _CAPABILITIES:
            on(name, _NOTIFY)
    if recording.devices and not recording.owners:
        for name, position in (("mknod", 1), ("mknodat", 2)):
            if name in table:
                result += [
                    Instruction(_EQUAL, 0, 6, table[name]),
                    Instruction(_LOAD, 0, 0, _argument(position)),
                    Instruction(_AND, 0, 0, 0o170000),
                    Instruction(_EQUAL, 1, 0, stat.S_IFCHR),
                    Instruction(_EQUAL, 0, 1, stat.S_IFBLK),
                    Instruction(_RETURN, 0, 0, _NOTIFY),
                    Instruction(_RETURN, 0, 0, _ALLOW),
                ]
    result.append(Instruction(_RETURN, 0, 0, _ALLOW))
    return result


def _argument(position: int) -> int:
    """Where the low half of an argument lies; both architectures are little-endian."""
    return 16 + 8 * position


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install(instructions: List[Instruction], listen: bool) -> int:
    """Filters this process and its children; the listener's descriptor with ``listen``, else 0.

    Needs CAP_SYS_ADMIN in the user namespace or no_new_privs. Raises OSError.
    """
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    argument = _Program(len(instructions), ctypes.cast(buffer, ctypes.c_void_p))
    flags = _FLAG_NEW_LISTENER if listen else 0
    return linux.seccomp(_SET_MODE_FILTER, flags, ctypes.byref(argument))
