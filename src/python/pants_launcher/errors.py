"""The failure that the launcher reports as a message rather than a traceback."""

from __future__ import annotations

import errno
import os
import sys


class LauncherError(Exception):
    """An expected failure; its text is the whole message for the user."""


def describe_os_error(error: OSError, cache: str) -> str:
    """The message for an operating system's refusal while the cache folder was being filled."""
    reason = error.strerror or str(error)
    where = os.path.abspath(os.fsdecode(error.filename)) if error.filename else cache
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full ({where}: {reason}).\n"
            f"Free some space (Pants needs about 300 MB under {cache}), or set XDG_CACHE_HOME to a "
            "folder on another disk."
        )
    # The refusal may be for what is to be in the cache folder, or for a folder that it is in.
    if os.path.commonpath([where, cache]) in (where, cache):
        return (
            f"can't write to the cache folder {cache} ({where}: {reason}).\n"
            "Make it writable, or set XDG_CACHE_HOME to a folder that is."
        )
    return f"{where}: {reason}"


def report(error: str) -> None:
    """Prints an error the way the launcher does: on standard error, after its own name."""
    print(f"pants: error: {error}", file=sys.stderr, flush=True)


def progress(message: str) -> None:
    """Tells the user what is being done; never on standard output, which belongs to Pants."""
    print(f"pants: {message}", file=sys.stderr, flush=True)
