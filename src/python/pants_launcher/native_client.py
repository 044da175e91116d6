"""Pants' own native client: it asks a running daemon in a hundredth of the time of the Python one.

The wheel of Pants has it beside the Python sources. It is started as the official ``pants`` binary
starts it: the variable ``_PANTS_SERVER_EXE`` names a program that does the work where there is no
daemon to ask, or none that is to be asked.
"""

from __future__ import annotations

import os
import shlex
import shutil

from pants_launcher.records import server_of, write_atomically

#: Only a client that has been connected takes longer than this, in seconds, to give up.
_SECONDS_TO_CONNECT = 10

_SERVER = """\
#!/bin/sh
# Starts Pants for the native client where that has no daemon to ask.
set -fu

# It also comes here when it lost its daemon, or was interrupted twice, in the middle of a run.
# That run is over: doing it all again is not what was asked for.
if [ "$(($(date +%s) - ${{_STRATA_LAUNCHER_START:-0}}))" -gt {seconds} ]; then
  echo 'pants: error: the run was ended, or its daemon was; start it again.' >&2
  exit 75
fi
exec {python} -I {pants} "$@"
"""


def install_native_client(python: str, pants: str, folder: str) -> str:
    """Puts the client of the environment that has ``python`` and ``pants`` into ``folder``.

    Gives its path, or "" where this Pants has none.
    """
    found = _in_environment(os.path.dirname(os.path.dirname(python)))
    if not found:
        return ""
    client = os.path.join(folder, "native_client")
    shutil.copyfile(found, client)
    os.chmod(client, 0o755)
    text = _SERVER.format(
        seconds=_SECONDS_TO_CONNECT, python=shlex.quote(python), pants=shlex.quote(pants)
    )
    server = server_of(client)
    write_atomically(server, text)
    os.chmod(server, 0o755)
    return client


def _in_environment(environment: str) -> str:
    libraries = os.path.join(environment, "lib")
    for name in sorted(os.listdir(libraries)):
        path = os.path.join(libraries, name, "site-packages", "pants", "bin", "native_client")
        if os.path.isfile(path):
            return path
    return ""
