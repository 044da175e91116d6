"""What Strata's times include and those of its rivals do not: from wheels and packages to a tree.

Who writes a Dockerfile has it made by ``RUN`` lines; here the same programs run outside of a
container, which takes them less time.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import List

import measure
from repository import CHECKOUT

_PACKAGE = re.compile(r'^name = "(.+)"\nversion = "(.+)"', re.MULTILINE)


class Inputs:
    """The locked wheels and Debian packages, downloaded; ``python`` is a CPython 3.11 with pip."""

    def __init__(self, python: str, work: Path) -> None:
        self._python = python
        self._wheels = work / "wheels"
        self._packages = work / "packages"
        self._tree = work / "tree"
        lock = str(CHECKOUT / "benchmarks/wheels.lock")
        command = [python, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
        command += ["--only-binary=:all:", "-r", lock, "-d", str(self._wheels)]
        subprocess.run(command, check=True)
        self._packages.mkdir()
        subprocess.run(
            ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=", *locked_packages()],
            cwd=self._packages,
            check=True,
            capture_output=True,
        )

    def make_tree(self) -> measure.Sample:
        """Unpacks all packages and installs all wheels, with bytecode, into an empty folder."""
        shutil.rmtree(self._tree, ignore_errors=True)
        self._tree.mkdir()
        install = [self._python, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
        install += ["--root-user-action=ignore", "--target", "tree/opt/app"]
        install += sorted(str(path) for path in self._wheels.iterdir())
        unpack = 'for deb in packages/*.deb; do dpkg-deb -x "$deb" tree; done; exec "$@"'
        return measure.run(["sh", "-ec", unpack, "sh", *install], self._tree.parent)


def locked_packages() -> List[str]:
    """The demo's Debian packages as apt names them: ``name=version``."""
    text = (CHECKOUT / "app/debian.lock").read_text()
    return [f"{name}={version}" for name, version in _PACKAGE.findall(text)]
