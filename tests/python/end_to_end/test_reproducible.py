"""Equal inputs give equal bytes, whoever builds where and with what settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

from end_to_end.pants_checkout import PantsCheckout, sha256
from end_to_end.tools import require, require_root

_OTHER_USER = 4321


def test_another_path_locale_clock_umask_seed_and_core_count(
    built: PantsCheckout, tmp_path: Path
) -> None:
    require("taskset")
    other = PantsCheckout(tmp_path / "a" / "much longer path with spaces", tmp_path / "caches")
    other.run(
        "package",
        "app:image",
        environment={
            "LC_ALL": "C",
            "LANG": "tr_TR.UTF-8",
            "TZ": "Pacific/Kiritimati",
            "PYTHONHASHSEED": "1",
            "SOURCE_DATE_EPOCH": "123456789",
        },
        prefix=["taskset", "-c", "0", "sh", "-c", 'umask 077; exec "$0" "$@"'],
    )
    assert sha256(other.archive("app/image")) == sha256(built.archive("app/image"))
    assert other.report("app/image") == built.report("app/image")


def test_another_user_with_empty_caches(built: PantsCheckout, tmp_path: Path) -> None:
    require_root()
    require("setpriv", "unshare", "mount")
    # pytest's own folders are closed to others.
    root = Path("/tmp") / f"strata-user-{os.getpid()}"
    root.mkdir()
    try:
        other = PantsCheckout(root / "checkout")
        (root / "home").mkdir()
        (root / "python").mkdir()
        environment = {
            "HOME": str(root / "home"),
            "USER": "somebody",
            "LOGNAME": "somebody",
            "XDG_CACHE_HOME": str(root / "home" / "cache"),
            "PANTS_PYTHON": f"{sys.base_prefix}/bin/python3.9",
        }
        subprocess.run(["chown", "-R", f"{_OTHER_USER}:{_OTHER_USER}", str(root)], check=True)
        other.run(
            "package",
            "app:image",
            environment=environment,
            prefix=[
                *_opened(Path(sys.base_prefix), root / "python"),
                "setpriv",
                f"--reuid={_OTHER_USER}",
                f"--regid={_OTHER_USER}",
                "--clear-groups",
            ],
        )
        assert sha256(other.archive("app/image")) == sha256(built.archive("app/image"))
    finally:
        shutil.rmtree(root)


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
