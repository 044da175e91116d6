"""Turns the bootstrap's process into Pants."""

from __future__ import annotations

import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pants_launcher.records import EnvironmentRecord


def pants_environment(env: Mapping[str, str], record: EnvironmentRecord) -> dict[str, str]:
    """The environment for Pants: the user's, plus where Pex and CPython 3.9 are.

    Whatever the user has set stays as it is.
    """
    result = dict(env)
    if not any(name.startswith("PANTS_PEX_CLI_") for name in env):
        version = record.pex_known_version.partition("|")[0]
        result["PANTS_PEX_CLI_VERSION"] = version
        result["PANTS_PEX_CLI_URL_TEMPLATE"] = record.pex_url_template
        result["PANTS_PEX_CLI_KNOWN_VERSIONS"] = json.dumps([record.pex_known_version])
    search_path = ["<PYENV>", "<PATH>", search_path_entry(record.interpreter)]
    result.setdefault("PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH", json.dumps(search_path))
    # Pants 2.17 tells users of any other launcher than its own binary to move to that; this
    # variable is its way to say that the choice was made on purpose.
    result.setdefault("NO_SCIE_WARNING", "1")
    return result


def search_path_entry(interpreter: str) -> str:
    """How Pants finds ``interpreter``: by its folder, or by itself where its name is unusual."""
    folder, name = os.path.split(interpreter)
    return folder if name in ("python3.9", "python3", "python") else interpreter


def start_pants(record: EnvironmentRecord, args: Sequence[str]) -> NoReturn:
    """Replaces this process by Pants, in the same working folder."""
    environment = pants_environment(os.environ, record)
    if record.client and _is_utf8(args):
        environment["_PANTS_SERVER_EXE"] = record.server
        environment["_STRATA_LAUNCHER_START"] = str(int(time.time()))
        # As Pants' Python client does: what Python paths this process was given is not for tools.
        environment.pop("PYTHONPATH", None)
        os.execve(record.client, [record.pants, *args], environment)
    # The script rather than `-m pants`: Pants's daemon runs the same file again, and the folder it
    # is in then comes first on the daemon's import path. Isolated, as the bootstrap itself is.
    command = [record.python, "-I", record.pants, *args]
    os.execve(record.python, command, environment)


def _is_utf8(args: Sequence[str]) -> bool:
    """Whether the native client, which takes no other bytes, can be started with these."""
    try:
        for text in (*map(os.fsencode, args), *os.environb.keys(), *os.environb.values()):
            text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
