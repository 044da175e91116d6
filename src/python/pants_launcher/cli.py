"""The launcher's entry point: starts Pants at once where it is set up, and else sets it up."""

from __future__ import annotations

import os

from pants_launcher import records
from pants_launcher.errors import LauncherError, describe_os_error, report
from pants_launcher.handover import start_pants
from pants_launcher.locations import default_locations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(args: Sequence[str]) -> int:
    """Starts Pants with ``args``; returns only when that fails, with the exit code."""
    locations = default_locations()
    try:
        record = records.read_selection(locations, os.environ)
        if record is None:
            # Only here, so that a warm start does not import what a set-up needs.
            from pants_launcher.cold_start import set_up

            record = set_up(locations, os.environ)
        start_pants(record, args)
    except LauncherError as error:
        report(str(error))
    except OSError as error:
        report(describe_os_error(error, locations.cache))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 1
