"""Where a session's files lie: in memory, or, on kernels before 6.6, on the disk.

The marks of overlays and of recorded owners are attributes that only newer kernels let files in
memory (tmpfs) have.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import uuid
from pathlib import Path

from strata.namespace import linux
from strata.namespace.tree import remove_tree

#: ``disk`` takes the disk on every kernel: for tests, and to find out what is wrong.
USE = "STRATA_SCRATCH"
_FOLDER = "scratch"


class Scratch:
    """``folder`` is private to this process, which is in a mount namespace of its own.

    It is a mount on the empty folder ``point``, of at most ``memory`` (as tmpfs(5) has it), or a
    folder in ``cache``, which goes with ``remove``, or when the next session starts: files that
    belong to other ids are not left where nobody could remove them.
    """

    def __init__(self, point: Path, cache: Path, memory: str) -> None:
        options = f"mode=700,size={memory}"
        linux.mount("tmpfs", point, "tmpfs", 0, options)
        self.folder = point
        self._lock = -1
        if os.environ.get(USE) == "disk" or not _takes_attributes(point):
            linux.unmount(point)
            self._take_disk(cache / _FOLDER)

    def _take_disk(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        remove_left_behind(parent)
        self.folder = parent / uuid.uuid4().hex
        self.folder.mkdir(0o700)
        self._lock = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """To be called when nothing uses it any more; what is in memory goes by itself."""
        if self._lock >= 0:
            _unmount_below(self.folder)
            remove_tree(self.folder)


def remove_left_behind(parent: Path) -> None:
    """Removes what sessions left that were killed: their locks are free."""
    for folder in parent.iterdir():
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(folder)
            except BlockingIOError:
                continue
            finally:
                os.close(handle)


def _takes_attributes(folder: Path) -> bool:
    try:
        os.setxattr(folder, "user.strata.probe", b"")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    os.removexattr(folder, "user.strata.probe")
    return True


def _unmount_below(folder: Path) -> None:
    prefix = f"{folder}/"
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed(points):
        if point.startswith(prefix):
            linux.unmount(point)
