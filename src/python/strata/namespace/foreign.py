"""Whether this machine runs programs for another platform, natively or by binfmt_misc(5).

A program of a few bytes tells: what the kernel has registered cannot always be seen, and an
emulator that is registered without the flag ``F`` is missing where an image is the root.
"""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

from strata.elf import ELF_MACHINES
from strata.errors import StrataError
from strata.namespace.processes import exit_code, fork_child
from strata.platforms import Platform

_EXIT_CODE = 42
_ADDRESS = 0x10000
_NOT_RUN = 126


#: What calls exit(42), and ``e_flags`` where the kernel wants some.
_CODE = {
    "386": "bb2a000000 b801000000 cd80",
    "amd64": "bf2a000000 b83c000000 0f05",
    "arm": "2a00a0e3 0170a0e3 000000ef",
    "arm64": "40058052 a80b8052 010000d4",
    "ppc64le": "01000038 2a006038 02000044",
    "riscv64": "1305a002 9308d005 73000000",
    "s390x": "a729002a 0a01",
}
_FLAGS = {"arm": 0x05000000, "ppc64le": 2}


def check_runs_here(platform: Platform) -> None:
    """Raises StrataError if programs for ``platform`` do not run with another root folder."""
    machine = os.uname().machine
    if machine == platform.machine:
        return
    with tempfile.TemporaryDirectory(prefix="strata-probe-") as folder:
        program = Path(folder) / "probe"
        program.write_bytes(probe(platform))
        program.chmod(0o755)

        def run() -> int:
            try:
                os.chroot(folder)
                os.execve("/probe", ["probe"], {})
            except OSError:
                return _NOT_RUN

        code = exit_code(os.waitpid(fork_child(run), 0)[1])
    if code != _EXIT_CODE:
        raise StrataError(
            f"the image is for {platform}, and this machine ({machine}) cannot run its programs. "
            "Build where it can: on a machine of that kind, or with an emulator that is registered "
            "with binfmt_misc and its flag F (Debian's qemu-user-static and binfmt-support do "
            "that); or run no commands inside of the image"
        )


def probe(platform: Platform) -> bytes:
    """A static ELF program that ends with exit code 42."""
    machine = ELF_MACHINES[platform.architecture]
    order = "<" if machine.little_endian else ">"
    code = bytes.fromhex(_CODE[platform.architecture])
    wide = machine.bits == 64
    word = "Q" if wide else "I"
    header, program = (64, 56) if wide else (52, 32)
    start = header + program
    flags = _FLAGS.get(platform.architecture, 0)
    identity = bytes([0x7F, *b"ELF", 2 if wide else 1, 1 if machine.little_endian else 2, 1])
    elf = identity.ljust(16, b"\0") + struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(2, machine.number, 1, _ADDRESS + start, header, 0, flags),
        *(header, program, 1, 0, 0, 0),
    )
    size = start + len(code)
    sizes = (_ADDRESS, _ADDRESS, size, size)
    if wide:
        segment = struct.pack(f"{order}IIQQQQQQ", 1, 5, 0, *sizes, 0x1000)
    else:
        segment = struct.pack(f"{order}IIIIIIII", 1, 0, *sizes, 5, 0x1000)
    return elf + segment + code
