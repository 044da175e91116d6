"""What a lock says about the interpreter and the C library of an image."""

from __future__ import annotations

import re
from typing import Optional, Tuple

from strata.closure.debian.lock import DebianLock

_INTERPRETER = re.compile(r"python(3\.\d+)-minimal")


def upstream_version(version: str) -> str:
    """A Debian version without epoch and revision (deb-version(7))."""
    return version.rpartition(":")[2].rpartition("-")[0] or version.rpartition(":")[2]


def interpreter_of(lock: DebianLock) -> Optional[Tuple[str, str, str]]:
    """Package name, path in the image and version of the newest CPython, if there is one."""
    found = [
        (tuple(int(part) for part in match[1].split(".")), package)
        for package in lock.packages
        for match in [_INTERPRETER.fullmatch(package.name)]
        if match
    ]
    if not found:
        return None
    minor, package = max(found)
    python = f"python{'.'.join(str(part) for part in minor)}"
    return package.name, f"/usr/bin/{python}", upstream_version(package.version)


def libc_version(lock: DebianLock) -> Optional[str]:
    """The version of glibc, such as ``2.36``."""
    return next((upstream_version(p.version) for p in lock.packages if p.name == "libc6"), None)
