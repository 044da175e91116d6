"""Builds the Pex command line that Pants runs, from the package index.

Pants's own default is a file of Pex's release page; one built from the locked package does the same
and needs no other host than the package index.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import urllib.parse
from dataclasses import dataclass

from pants_launcher import pip_install
from pants_launcher.errors import LauncherError


@dataclass(frozen=True)
class PexCli:
    """A Pex command line, and how Pants's options ``[pex-cli]`` name it."""

    path: str
    size: int
    url_template: str
    known_version: str


def build_pex_cli(python: str, requirements: str, folder: str) -> PexCli:
    """Builds the locked version in ``folder`` with ``python``, which has Pex installed."""
    wheels = os.path.join(folder, "wheels")
    # pip gets it, by the machine's own configuration of pip, which Pex does not read.
    pip_install.download(python, requirements, wheels)
    path = os.path.join(folder, "pex")
    process = subprocess.run(
        [python, "-I", "-m", "pex", "--requirement", requirements]
        + ["--no-index", "--find-links", wheels, "--disable-cache"]
        + ["--console-script", "pex", "--venv", "--output-file", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Pex takes options from PEX_* variables; the build is to be the same everywhere.
        env={name: value for name, value in os.environ.items() if not name.startswith("PEX_")},
        check=False,
    )
    if process.returncode != 0:
        said = process.stdout.decode("utf-8", "replace").strip()
        raise LauncherError(f"building the Pex command line failed:\n{said}")
    with open(path, "rb") as file:
        content = file.read()
    version = locked_version(requirements)
    sha256 = hashlib.sha256(content).hexdigest()
    return PexCli(
        path=path,
        size=len(content),
        # Quoting leaves no braces, which the template would give a meaning.
        url_template="file://" + urllib.parse.quote(path),
        known_version=f"v{version}|{platform_name()}|{sha256}|{len(content)}",
    )


def locked_version(requirements: str) -> str:
    """The version of Pex in a file of locked requirements."""
    with open(requirements, encoding="utf-8") as file:
        match = re.search(r"^pex==([^\s;\\]+)", file.read(), re.MULTILINE)
    if match is None:
        raise LauncherError(f"{requirements} does not lock a version of pex.")
    return match.group(1)


def platform_name() -> str:
    """This machine's platform as Pants names it."""
    system = os.uname()
    os_name = {"Linux": "linux", "Darwin": "macos"}.get(system.sysname)
    arch = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(system.machine)
    if os_name is None or arch is None:
        raise LauncherError(
            f"Pants 2.17 does not run on {system.sysname} {system.machine}: it has builds for "
            "Linux and macOS on x86_64 and arm64."
        )
    return f"{os_name}_{arch}"
