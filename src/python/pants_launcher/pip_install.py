"""Makes virtual environments and fills them from hash-locked requirement files with pip.

pip runs with the machine's own configuration (files and ``PIP_*`` variables), which says where the
package index is; this code adds nothing to it.
"""

from __future__ import annotations

import subprocess

from pants_launcher.errors import LauncherError

_SHOWN_LINES = 15
_UNREACHABLE = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Failed to establish a new connection",
    "Max retries exceeded",
    "ReadTimeoutError",
    "Connection refused",
    "Could not fetch URL",
    "name resolution",
    # All that pip says of an unreachable index when it is configured not to retry.
    "(from versions: none)",
)


def make_virtual_environment(python: str, folder: str) -> str:
    """Makes a virtual environment of ``python`` in ``folder`` and gives its own interpreter."""
    _run(
        [python, "-I", "-m", "venv", folder],
        f"making a virtual environment with {python} failed",
        "The Python that makes it needs its venv and ensurepip modules (on Debian and Ubuntu: the "
        "package python3-venv). Install them, or set PANTS_PYTHON to another CPython 3.9.",
    )
    return f"{folder}/bin/python"


def install(python: str, requirements: str) -> None:
    """Installs exactly what the file of locked requirements names into ``python``'s environment."""
    _pip(python, requirements, ["install"])


def download(python: str, requirements: str, folder: str) -> None:
    """Downloads exactly what the file of locked requirements names into ``folder``."""
    _pip(python, requirements, ["download", "--dest", folder])


def _pip(python: str, requirements: str, command: list[str]) -> None:
    _run(
        [python, "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
        + command
        + ["--progress-bar", "off", "--require-hashes", "--no-deps", "-r", requirements],
        f"installing the packages that {requirements} lists failed",
        "",
    )


def _run(command: list[str], failure: str, hint: str) -> None:
    """Runs a command quietly; its last words become part of the message when it fails."""
    process = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if process.returncode != 0:
        output = process.stdout.decode("utf-8", "replace").rstrip()
        last_words = "\n".join(f"  | {line}" for line in output.splitlines()[-_SHOWN_LINES:])
        advice = explain(output) or hint
        raise LauncherError("\n".join(part for part in (f"{failure}:", last_words, advice) if part))


def explain(output: str) -> str:
    """What the user can do about a failure of pip or venv with this output; "" where unknown."""
    if "DO NOT MATCH THE HASHES" in output:
        return (
            "The package index gave a file whose hash is not the locked one. Nothing of it was "
            "installed. Don't override this: find out why the file differs (a proxy or a mirror "
            "may have changed it)."
        )
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return (
            "The disk is full: free some space, or set XDG_CACHE_HOME to a folder on another disk "
            "(and TMPDIR, for pip's temporary files)."
        )
    if any(sign in output for sign in _UNREACHABLE):
        return (
            "The package index can't be reached, or has nothing of this name. Check the network, "
            "and pip's configuration (`pip config list`, the variables PIP_INDEX_URL, PIP_PROXY, "
            "PIP_CERT)."
        )
    if "No matching distribution found" in output:
        return (
            "The package index has no such file for this machine. Check pip's configuration "
            "(`pip config list`): a mirror may lack it."
        )
    return ""
