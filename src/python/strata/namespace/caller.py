"""The process that a filter stopped: its paths and its memory, as the supervisor sees them."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from strata.namespace import linux

_PATH_MAX = 4096
_PAGE = 4096
_OWN_PROC = b"/proc/self/"


class GoOn(Exception):
    """The kernel may do this call itself."""


class File(NamedTuple):
    """An open (``O_PATH``) file: its descriptor, and what it is."""

    handle: int
    status: os.stat_result

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.handle}"


class OpenFile:
    """A context manager for a file that is only looked up, not opened."""

    def __init__(self, name: str, follow: bool) -> None:
        # Names below /proc/PID/fd that end there stand for the open file itself.
        stands_for_file = name.startswith("/proc/") and name.count("/") == 4
        nofollow = 0 if follow or stands_for_file else os.O_NOFOLLOW
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
            root = os.stat(f"/proc/{self.process}/root")
            if (root.st_dev, root.st_ino) != self._root:
                # It has called chroot: its paths are not ours.
                raise GoOn
            if text.startswith(_OWN_PROC):
                text = b"/proc/%d/%b" % (self.process, text[len(_OWN_PROC) :])
            return os.fsdecode(text)
        folder = folder & 0xFFFFFFFF
        folder -= (folder & 0x80000000) << 1
        own = f"/proc/{self.process}"
        base = f"{own}/cwd" if folder == linux.AT_FDCWD else f"{own}/fd/{folder}"
        if text:
            return f"{base}/{os.fsdecode(text)}"
        if not flags & linux.AT_EMPTY_PATH:
            raise OSError(errno.ENOENT, "an empty path")
        return base

    def text(self, address: int) -> bytes:
        """A path in the process' memory. Reads no further than the page that holds its end."""
        text = b""
        while len(text) < _PATH_MAX:
            part = linux.read_memory(self.process, address, min(256, _PAGE - address % _PAGE))
            end = part.find(b"\0")
            if end >= 0:
                return text + part[:end]
            text += part
            address += len(part)
        raise OSError(errno.ENAMETOOLONG, "the path is too long")

    def read(self, address: int, size: int) -> bytes:
        return linux.read_memory(self.process, address, size)

    def write(self, address: int, data: bytes) -> None:
        linux.write_memory(self.process, address, data)

    def umask(self) -> int:
        with open(f"/proc/{self.process}/status") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
        raise OSError(errno.EIO, "no umask")
