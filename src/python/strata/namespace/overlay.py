"""An overlay of unpacked layers, see the kernel's documentation of overlayfs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Sequence

from strata.namespace import linux

#: Marks are ``user.overlay.*`` attributes, which need no privileges; what is renamed or changed is
#: copied as a whole, so that the upper folder can be read without the lower ones.
_OPTIONS = "userxattr,redirect_dir=nofollow,metacopy=off"
#: ``never`` makes every kernel one without overlays: for tests, and to find out what is wrong.
USE = "STRATA_OVERLAYS"


def mount_overlay(
    lower: Sequence[Path], target: Path, names: Path, upper: Optional[Path], work: Optional[Path]
) -> None:
    """Mounts ``lower``, the topmost first, below ``upper`` on ``target``; read-only without it.

    ``names`` is a folder for short names of the lower ones: all must fit in one page. Raises
    OSError if the kernel refuses.
    """
    for index, folder in enumerate(lower):
        (names / str(index)).symlink_to(folder)
    joined = ":".join(str(index) for index in range(len(lower)))
    options = f"lowerdir={joined}"
    if upper is not None and work is not None:
        options = f"{options},upperdir={upper},workdir={work}"
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


def refuses_overlays(folder: Path) -> str:
    """Why the kernel lays no tree over another one in ``folder``; empty if it does."""
    if os.environ.get(USE) == "never":
        return f"{USE} is never"
    names = ("lower", "upper", "work", "target", "names")
    lower, upper, work, target, links = (folder / name for name in names)
    for path in (lower, upper, work, target, links):
        path.mkdir(parents=True)
    try:
        mount_overlay([lower], target, links, upper, work)
    except OSError as error:
        return str(error.strerror)
    linux.unmount(target)
    return ""
