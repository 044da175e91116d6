"""A kernel that runs programs of another machine, for one command and what it starts."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

from end_to_end.tools import unavailable

_MOUNT = Path("/proc/sys/fs/binfmt_misc")
# The first bytes of a program: of an ELF file, and its class, order and machine (elf(5)).
_MAGIC = {
    "aarch64": (
        r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
        r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
    )
}
_NAME = "strata-test"


@contextmanager
def emulated(machine: str) -> Iterator[List[str]]:
    """What to put in front of a command so that it runs programs of ``machine`` by an emulator.

    A user namespace has an emulator of its own on Linux 6.7 and later. Before, the whole machine
    has it while this lasts.
    """
    emulator = shutil.which(f"qemu-{machine}-static") or ""
    magic, mask = _MAGIC[machine]
    entry = f":{_NAME}:M::{magic}:{mask}:{emulator}:F"
    register = f"printf '%s' '{entry}' > {_MOUNT}/register"
    script = f'mount -t binfmt_misc none {_MOUNT} && {register} && exec "$@"'
    private = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if not subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        yield private
        return
    mounted = subprocess.run(
        ["mount", "-t", "binfmt_misc", "none", str(_MOUNT)], capture_output=True, check=False
    )
    added = subprocess.run(["sh", "-c", register], capture_output=True, check=False)
    try:
        if added.returncode:
            unavailable(f"needs binfmt_misc: {added.stderr.decode(errors='replace')}")
        yield []
    finally:
        if not added.returncode:
            (_MOUNT / _NAME).write_text("-1")
        if not mounted.returncode:
            subprocess.run(["umount", str(_MOUNT)], check=True)
