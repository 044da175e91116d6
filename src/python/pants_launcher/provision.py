"""The set-up proper, run under the cache's lock by the stage-0 environment's interpreter."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from filelock import FileLock, Timeout

from pants_launcher import interpreters, records
from pants_launcher.errors import LauncherError, describe_os_error, progress, report
from pants_launcher.interpreter_download import fetch_interpreter
from pants_launcher.locations import Locations, default_locations
from pants_launcher.pants_environment import ensure_environment
from pants_launcher.tool_environment import remove_abandoned

_SECONDS_BEFORE_SAYING_SO = 2


def provision(locations: Locations, env: Mapping[str, str]) -> None:
    """Leaves a selection record, and what it names, behind."""
    lock = FileLock(locations.lock_file)
    try:
        lock.acquire(timeout=_SECONDS_BEFORE_SAYING_SO)
    except Timeout:
        progress("waiting for another start that is setting Pants up ...")
        lock.acquire()
    try:
        # The one waited for may have done it all.
        if records.read_selection(locations, env) is None:
            remove_abandoned(locations)
            found = interpreters.find(env, locations)
            interpreter = found.interpreter or fetch_interpreter(locations, env, found.rejected)
            record = ensure_environment(locations, interpreter)
            os.makedirs(locations.selections, exist_ok=True)
            record.write(records.selection_path(locations, env))
    finally:
        lock.release()


def main() -> int:
    """Runs the set-up as a process of its own; the exit code is 1 after a message."""
    locations = default_locations()
    try:
        provision(locations, os.environ)
    except LauncherError as error:
        report(str(error))
        return 1
    except OSError as error:
        report(describe_os_error(error, locations.cache))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
