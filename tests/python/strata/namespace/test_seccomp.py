"""The filter's program, run by an interpreter of its few instructions."""

from __future__ import annotations

import errno
import os
import platform
import stat
import struct
from typing import List

import pytest

from strata.namespace import linux
from strata.namespace.records import Recording
from strata.namespace.seccomp import Instruction, program
from strata.namespace.system_calls import SYSTEM_CALLS

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="its numbers are x86-64's")
_X86_64 = 0xC000003E
ALLOW, NOTIFY, ERROR = 0x7FFF0000, 0x7FC00000, 0x00050000
REFUSED = ERROR | errno.EPERM


def verdict(
    instructions: List[Instruction], name: str, *arguments: int, architecture: int = _X86_64
) -> int:
    number = SYSTEM_CALLS["x86_64"].get(name, 0) if name else 0x40000000
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(arguments + 6 * (0,))[:6])
    value, position = 0, 0
    while True:
        code, if_true, if_false, operand = instructions[position]
        position += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        elif code == 0x54:
            value &= operand
        elif code == 0x06:
            return operand
        else:
            met = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}
            position += if_true if met[code] else if_false


PLAIN = program(Recording())
ALL = program(Recording(True, True, True))


@pytest.mark.parametrize(
    "name", ["mount", "umount2", "unshare", "setns", "bpf", "init_module", "keyctl", "pivot_root"]
)
def test_what_no_build_needs_is_refused(name: str) -> None:
    assert verdict(PLAIN, name) == verdict(ALL, name) == REFUSED


def test_others_are_allowed() -> None:
    assert verdict(PLAIN, "chown") == verdict(PLAIN, "openat", 0, 0, os.O_CREAT) == ALLOW
    assert verdict(PLAIN, "clone", 0x11) == ALLOW


def test_new_user_namespaces_are_refused() -> None:
    assert verdict(PLAIN, "clone", linux.CLONE_NEWUSER | 0x11) == REFUSED
    assert verdict(PLAIN, "clone3") == ERROR | errno.ENOSYS


def test_calls_of_other_architectures_are_not_there() -> None:
    assert verdict(PLAIN, "chown", architecture=0x40000003) == ERROR | errno.ENOSYS
    assert verdict(PLAIN, "") == ERROR | errno.ENOSYS


def test_what_has_to_be_recorded_is_handed_over() -> None:
    for name in ("chown", "fchownat", "stat", "statx", "mkdir", "symlinkat", "setxattr"):
        assert verdict(ALL, name) == NOTIFY
    assert verdict(ALL, "openat", 0, 0, os.O_CREAT) == NOTIFY
    assert verdict(ALL, "openat", 0, 0, os.O_WRONLY) == ALLOW
    devices = program(Recording(devices=True))
    assert verdict(devices, "chown") == ALLOW
    assert verdict(devices, "mknodat", 0, 0, stat.S_IFCHR | 0o600) == NOTIFY
    assert verdict(devices, "mknodat", 0, 0, stat.S_IFBLK) == NOTIFY
    assert verdict(devices, "mknodat", 0, 0, stat.S_IFIFO | 0o600) == ALLOW
    assert verdict(program(Recording(capabilities=True)), "capset") == ERROR


def test_without_namespaces() -> None:
    alone = program(Recording(), offline=True, pretend_root=True)
    assert verdict(alone, "geteuid") == ERROR
    assert verdict(alone, "socket", 1) == ALLOW
    assert verdict(alone, "socket", 2) == ERROR | errno.ENETUNREACH
    assert verdict(PLAIN, "socket", 2) == ALLOW
