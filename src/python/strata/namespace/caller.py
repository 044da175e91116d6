"""The process that a filter stopped: its paths and its memory, as the supervisor sees them.

The supervisor's root folder is that of the process, and its working directory is a proc(5), which
need not be in that root: paths that begin with a number, or with ``self``, are found there.
"""

from __future__ import annotations

import errno
import os
import re
from typing import NamedTuple

from strata.namespace import linux

_PATH_MAX = 4096
_PAGE = 4096
_OWN_PROC = b"/proc/self/"
#: What stands for an open file or a working directory itself.
_OPEN_FILE = re.compile(r"(/proc/)?[0-9]+/(fd/[0-9]+|cwd)")


class GoOn(Exception):
    """The kernel may do this call itself."""


class File(NamedTuple):
    """An open (``O_PATH``) file: its descriptor, and what it is."""

    handle: int
    status: os.stat_result

    @property
    def path(self) -> str:
        return f"self/fd/{self.handle}"


class OpenFile:
    """A context manager for a file that is only looked up, not opened."""

    def __init__(self, name: str, follow: bool) -> None:
        nofollow = 0 if follow or _OPEN_FILE.fullmatch(name) else os.O_NOFOLLOW
        self._handle = os.open(name, os.O_PATH | os.O_CLOEXEC | nofollow)

    def __enter__(self) -> File:
        return File(self._handle, os.fstat(self._handle))

    def __exit__(self, *exception: object) -> None:
        os.close(self._handle)


class Caller:
    """A stopped process, by its number in this PID namespace.

    ``root`` identifies this process' root folder. Every method raises OSError with what the call
    should end with, and GoOn for a path that only the kernel can follow.
    """

    def __init__(self, process: int, root: "tuple[int, int]") -> None:
        self.process = process
        self._root = root

    def open(self, folder: int, path: int, flags: int) -> OpenFile:
        """The file that a call with the arguments of fstatat(2) means."""
        return OpenFile(self.name(folder, path, flags), not flags & linux.AT_SYMLINK_NOFOLLOW)

    def name(self, folder: int, path: int, flags: int = 0) -> str:
        """The file's path for this process, which has the same root folder."""
        text = self.text(path) if path else b""
        if text.startswith(b"/"):
            root = os.stat(f"{self.process}/root")
            if (root.st_dev, root.st_ino) != self._root:
                # It has called chroot: its paths are not ours.
                raise GoOn
            if text.startswith(_OWN_PROC):
                text = b"/proc/%d/%b" % (self.process, text[len(_OWN_PROC) :])
            return os.fsdecode(text)
        folder = folder & 0xFFFFFFFF
        folder -= (folder & 0x80000000) << 1
        base = f"{self.process}/cwd" if folder == linux.AT_FDCWD else f"{self.process}/fd/{folder}"
        if text:
            return f"{base}/{os.fsdecode(text)}"
        if not flags & linux.AT_EMPTY_PATH:
            raise OSError(errno.ENOENT, "an empty path")
        return base

    def text(self, address: int) -> bytes:
        """A path in the process' memory. Reads no further than the page that holds its end."""
        text = b""
        while len(text) < _PATH_MAX:
            part = self.read(address, min(256, _PAGE - address % _PAGE))
            end = part.find(b"\0")
            if end >= 0:
                return text + part[:end]
            text += part
            address += len(part)
        raise OSError(errno.ENAMETOOLONG, "the path is too long")

    def read(self, address: int, size: int) -> bytes:
        # Not by process_vm_readv(2), which containers' filters may refuse.
        with open(f"{self.process}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, address)

    def write(self, address: int, data: bytes) -> None:
        with open(f"{self.process}/mem", "r+b", buffering=0) as memory:
            if os.pwrite(memory.fileno(), data, address) != len(data):
                raise OSError(errno.EFAULT, "it is not all memory")

    def umask(self) -> int:
        with open(f"{self.process}/status") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
        raise OSError(errno.EIO, "no umask")
