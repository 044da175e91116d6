"""Programs that tell whether a platform's programs run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from end_to_end.tools import require, require_root
from strata.errors import StrataError
from strata.namespace.foreign import check_runs_here, probe
from strata.platforms import MACHINES, Platform

_QEMU = {"386": "i386", "amd64": "x86_64", "arm64": "aarch64"}


@pytest.mark.parametrize("architecture", sorted(MACHINES))
def test_each_program_is_one(architecture: str, tmp_path: Path) -> None:
    """An emulator of each machine runs it, without the kernel knowing of emulators."""
    emulator = f"qemu-{_QEMU.get(architecture, architecture)}"
    require(emulator)
    program = tmp_path / "probe"
    program.write_bytes(probe(Platform(architecture)))
    program.chmod(0o755)
    assert subprocess.run([emulator, str(program)], check=False).returncode == 42


def test_this_machine() -> None:
    native = next(name for name, machine in MACHINES.items() if machine == os.uname().machine)
    check_runs_here(Platform(native))


def test_another_machine() -> None:
    require_root()
    foreign = Platform("s390x" if os.uname().machine != "s390x" else "amd64")
    if os.path.exists("/proc/sys/fs/binfmt_misc/qemu-s390x"):
        pytest.skip("this machine runs programs for s390x")
    with pytest.raises(StrataError, match=f"is for {foreign}, and this machine.*binfmt_misc"):
        check_runs_here(foreign)
