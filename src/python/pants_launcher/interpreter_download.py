"""Fetches a CPython 3.9 for a machine that has none, with uv."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from pants_launcher import interpreters
from pants_launcher.errors import LauncherError, progress
from pants_launcher.interpreters import Interpreter, Unusable
from pants_launcher.locations import Locations
from pants_launcher.tool_environment import ensure_tool_environment

_WAYS_OUT = """\
Ways out:
  * install CPython 3.9 so that `python3.9` is on the PATH (on Debian and Ubuntu also its package
    python3.9-venv), or with `pyenv install 3.9`;
  * set PANTS_PYTHON to the path of a CPython 3.9;
  * set UV_PYTHON_INSTALL_MIRROR to a mirror of the python-build-standalone releases that this
    machine can reach (a file:// URL will do)."""


def fetch_interpreter(
    locations: Locations, env: Mapping[str, str], rejected: list[str]
) -> Interpreter:
    """Installs a CPython 3.9 into the cache; uv's own variables say from where.

    ``rejected`` is what the search before it found and could not use, for the message.
    """
    progress("no CPython 3.9 was found; fetching one ...")
    try:
        # This process runs in the stage-0 environment, which may be removed: name the Python below.
        base = os.path.realpath(sys.executable)
        uv = os.path.join(os.path.dirname(ensure_tool_environment(locations, "uv", base)), "uv")
        _install(uv, locations, env)
        return _installed(locations)
    except (LauncherError, Unusable) as error:
        lines = ["no CPython 3.9, which Pants needs, was found on this machine"]
        if rejected:
            lines[0] += ":"
            lines.extend(f"  * {line}" for line in rejected)
        lines.append(f"Fetching one failed as well: {error}")
        raise LauncherError("\n".join(lines) + "\n\n" + _WAYS_OUT) from error


def _install(uv: str, locations: Locations, env: Mapping[str, str]) -> None:
    # uv's cache would hold nothing but what is unpacked once here.
    process = subprocess.run(
        [uv, "--no-cache", "--no-progress", "--color=never", "python", "install"]
        + ["--no-bin", "--install-dir", locations.pythons, "cpython-3.9"],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if process.returncode != 0:
        output = process.stdout.decode("utf-8", "replace").strip()
        said = "\n".join(f"  | {line}" for line in output.splitlines())
        raise LauncherError(f"`uv python install` ended with {process.returncode}:\n{said}")


def _installed(locations: Locations) -> Interpreter:
    candidates = list(interpreters.in_uv_folder(locations.pythons))
    if not candidates:
        raise LauncherError(f"`uv python install` left no CPython 3.9 in {locations.pythons}.")
    try:
        return interpreters.probe(candidates[0])
    except Unusable as error:
        raise Unusable(f"{candidates[0]} {error}.") from error
