"""Unpacked layers laid over each other: by the kernel's overlayfs, or by fuse-overlayfs."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from pathlib import Path
from typing import List, Optional, Sequence

from strata.namespace import linux
from strata.namespace.processes import fork_child

#: Marks are ``user.overlay.*`` attributes, which need no privileges; what is renamed or changed is
#: copied as a whole, so that the upper folder can be read without the lower ones.
_OPTIONS = "userxattr,redirect_dir=nofollow,metacopy=off"
#: ``fuse`` makes every kernel one without overlays, and ``never`` every machine: for tests, and to
#: find out what is wrong.
USE = "STRATA_OVERLAYS"
_PROGRAM = "fuse-overlayfs"
_SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
_START_SECONDS = 10
_PAUSE = 0.005


class Overlays:
    """How this machine lays trees over each other; false if it cannot.

    ``refusal`` says why the kernel does not, and is empty if it does. ``processes`` are those that
    have to run as long as what they mounted is used.
    """

    def __init__(self, refusal: str = "", program: Optional[Path] = None) -> None:
        self.refusal = refusal
        self.program = program
        self.processes: List[int] = []

    def __bool__(self) -> bool:
        return not self.refusal or self.program is not None

    def mount(
        self,
        lower: Sequence[Path],
        target: Path,
        names: Path,
        upper: Optional[Path],
        work: Optional[Path],
    ) -> None:
        """Mounts ``lower``, the topmost first, below ``upper`` on ``target``; read-only without it.

        ``names`` is a folder for short names of the lower ones: all must fit in one page. Raises
        OSError if the machine refuses.
        """
        for index, folder in enumerate(lower):
            (names / str(index)).symlink_to(folder)
        options = f"lowerdir={':'.join(str(index) for index in range(len(lower)))}"
        if upper is not None and work is not None:
            options = f"{options},upperdir={upper},workdir={work}"
        if self.program is None:
            _mount_by_kernel(options, target, names)
        else:
            self.processes.append(_mount_by_program(self.program, options, target, names))


def _mount_by_kernel(options: str, target: Path, names: Path) -> None:
    here = os.open(".", os.O_PATH)
    os.chdir(names)
    try:
        linux.mount("overlay", target, "overlay", 0, f"{options},{_OPTIONS}")
    except OSError:
        # Kernels from 5.11 on that do not know the other options have them as we want them.
        linux.mount("overlay", target, "overlay", 0, f"{options},userxattr")
    finally:
        os.fchdir(here)
        os.close(here)


def _mount_by_program(program: Path, options: str, target: Path, names: Path) -> int:
    def start() -> int:
        os.chdir(names)
        nothing = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        os.closerange(3, 4096)
        os.execv(program, [str(program), "-f", "-o", options, str(target)])

    device = os.stat(target).st_dev
    child = fork_child(start)
    deadline = time.monotonic() + _START_SECONDS
    while os.stat(target).st_dev == device:
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            raise OSError(errno.EIO, f"{program} mounts nothing")
        time.sleep(_PAUSE)
    return child


def kernel_overlays(folder: Path) -> Overlays:
    """The kernel's own, if they work in ``folder``, which is to be empty."""
    use = os.environ.get(USE)
    return Overlays(f"{USE} is {use}" if use else _refusal(Overlays(), folder / "kernel"))


def find_overlays(folder: Path) -> Overlays:
    """The kernel's, or else those of fuse-overlayfs, if any work in ``folder``.

    The latter is for what is thrown away: it loses set-group-ID bits of folders that it changes,
    and of files with several names it may change the wrong one.
    """
    found = kernel_overlays(folder)
    program = shutil.which(_PROGRAM, path=_SEARCH_PATH)
    if found or program is None or os.environ.get(USE) == "never":
        return found
    tried = Overlays(found.refusal, Path(program))
    reason = _refusal(tried, folder / "program")
    # What was tried has been unmounted, and that ends its process.
    for process in tried.processes:
        os.waitpid(process, 0)
    tried.processes.clear()
    return Overlays(f"{found.refusal}; {_PROGRAM}: {reason}") if reason else tried


def _refusal(overlays: Overlays, folder: Path) -> str:
    """Why ``overlays`` does not work; empty if it does."""
    names = ("lower", "upper", "work", "target", "names")
    lower, upper, work, target, links = (folder / name for name in names)
    for path in (lower, upper, work, target, links):
        path.mkdir(parents=True)
    try:
        # As unpacked layers have them.
        os.mknod(lower / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
        (lower / "file").touch()
        overlays.mount([lower], target, links, upper, work)
    except OSError as error:
        return str(error.strerror)
    try:
        os.chmod(target / "file", 0o600)
        return "" if os.listdir(target) == ["file"] else "it shows what is deleted"
    except OSError as error:
        return str(error.strerror)
    finally:
        linux.unmount(target)
