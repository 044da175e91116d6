"""Small hash-locked virtual environments for what the set-up itself needs.

They are there before anything can be locked, so each is made under a name of its own and put in
place by a rename: of two that are made at once, one wins and the other is removed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time

from pants_launcher import pip_install
from pants_launcher.errors import progress
from pants_launcher.locations import Locations
from pants_launcher.records import LAYOUT, digest

_TEMPORARY = "making-"
_ABANDONED_AFTER_SECONDS = 24 * 3600


def ensure_tool_environment(locations: Locations, name: str, maker: str) -> str:
    """The interpreter of the environment for ``<name>.lock``, made with ``maker`` if need be."""
    lock = locations.requirements(name)
    with open(lock, encoding="utf-8") as file:
        key = digest(LAYOUT, file.read(), os.path.realpath(maker))
    folder = os.path.join(locations.tools, f"{name}-{key}")
    python = os.path.join(folder, "bin", "python")
    if os.path.isdir(folder) and not _works(python):
        # The interpreter it was made with has been removed or replaced.
        discarded = tempfile.mkdtemp(prefix=_TEMPORARY, dir=locations.tools)
        _rename_unless_taken(folder, discarded)
        shutil.rmtree(discarded, ignore_errors=True)
    if not os.path.isdir(folder):
        progress(f"getting {name} ...")
        os.makedirs(locations.tools, exist_ok=True)
        made = tempfile.mkdtemp(prefix=_TEMPORARY, dir=locations.tools)
        try:
            pip_install.install(pip_install.make_virtual_environment(maker, made), lock)
            _rename_unless_taken(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return python


def remove_abandoned(locations: Locations) -> None:
    """Removes what killed set-ups have left of tool environments.

    Nothing tells those from the ones being made right now but their age.
    """
    limit = time.time() - _ABANDONED_AFTER_SECONDS
    for entry in os.scandir(locations.tools):
        if entry.name.startswith(_TEMPORARY) and entry.stat().st_mtime < limit:
            shutil.rmtree(entry.path, ignore_errors=True)


def _works(python: str) -> bool:
    try:
        return subprocess.run([python, "-I", "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def _rename_unless_taken(source: str, target: str) -> None:
    """Renames a folder; does nothing where another process has done it before."""
    try:
        os.rename(source, target)
    except OSError:
        taken = os.path.isdir(target) and bool(os.listdir(target))
        if not (taken or not os.path.exists(source)):
            raise
