"""What a start does that finds no set-up to use: it makes one, or waits for the one being made.

The set-up proper runs in a child process, under the lock that :mod:`pants_launcher.provision` takes
with the ``filelock`` library; this module gets that library.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from pants_launcher import interpreters, records
from pants_launcher.errors import LauncherError
from pants_launcher.locations import Locations
from pants_launcher.tool_environment import ensure_tool_environment

_RUN_PROVISION = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from pants_launcher.provision import main; sys.exit(main())"
)


def set_up(locations: Locations, env: Mapping[str, str]) -> records.EnvironmentRecord:
    """Sets Pants up for this machine and gives the finished environment."""
    found = interpreters.find(env, locations)
    # Without a CPython 3.9 the set-up is run by the bootstrap's own Python, to fetch one.
    maker = found.interpreter.path if found.interpreter else sys.executable
    python = ensure_tool_environment(locations, "stage0", maker)
    # Pants's output alone may be on standard output.
    child = subprocess.run(
        [python, "-I", "-c", _RUN_PROVISION, locations.source_root],
        stdin=subprocess.DEVNULL,
        stdout=2,
        check=False,
    )
    if child.returncode == 1:
        # The child has said why.
        raise SystemExit(1)
    if child.returncode != 0:
        raise LauncherError(f"the set-up was ended (exit code {child.returncode}); start it again.")
    record = records.read_selection(locations, env)
    if record is None:
        raise LauncherError(
            f"the set-up in {locations.cache} was changed while it was made; start it again."
        )
    return record
