"""A checkout that another user builds, with a home and caches of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional

from end_to_end.pants_checkout import PantsCheckout, PantsResult
from end_to_end.tools import require, require_root

_OTHER_USER = 4321


class OtherUsersCheckout(PantsCheckout):
    """``folder`` is all that the user may write to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "checkout")
        for name in ("home", "python"):
            (folder / name).mkdir()
        self._home = folder / "home"
        self._spare = folder / "python"
        subprocess.run(["chown", "-R", f"{_OTHER_USER}:{_OTHER_USER}", str(folder)], check=True)

    def environment(self, changes: Mapping[str, str]) -> Dict[str, str]:
        return {
            **super().environment({}),
            "HOME": str(self._home),
            "USER": "somebody",
            "LOGNAME": "somebody",
            "XDG_CACHE_HOME": str(self._home / "cache"),
            "PANTS_PYTHON": f"{sys.base_prefix}/bin/python3.9",
            **changes,
        }

    def run(
        self,
        *arguments: str,
        environment: Optional[Mapping[str, str]] = None,
        prefix: List[str] = [],  # noqa: B006 - never changed
        check: bool = True,
    ) -> PantsResult:
        user = ["setpriv", f"--reuid={_OTHER_USER}", f"--regid={_OTHER_USER}", "--clear-groups"]
        opened = _opened(Path(sys.base_prefix), self._spare)
        return super().run(
            *arguments, environment=environment, prefix=[*prefix, *opened, *user], check=check
        )


@contextmanager
def checkout_of_another_user() -> Iterator[OtherUsersCheckout]:
    require_root()
    require("setpriv", "unshare", "mount")
    # pytest's own folders are closed to others.
    folder = Path("/tmp") / f"strata-user-{os.getpid()}"
    folder.mkdir()
    try:
        yield OtherUsersCheckout(folder)
    finally:
        shutil.rmtree(folder)


def _opened(folder: Path, spare: Path) -> List[str]:
    """A command prefix that shows ``folder`` to everybody, in a mount namespace of its own.

    The interpreter of these tests may lie where only its owner can look, and it cannot be moved.
    """
    closed = [parent for parent in folder.parents if not parent.stat().st_mode & 0o001]
    if not closed:
        return []
    script = (
        'mount --bind "$1" "$2" && mount -t tmpfs -o mode=755 none "$3" && mkdir -p "$1" && '
        'mount --bind "$2" "$1" && shift 3 && exec "$@"'
    )
    outermost = str(closed[-1])
    return ["unshare", "-m", "sh", "-c", script, "sh", str(folder), str(spare), outermost]
