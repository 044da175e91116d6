"""Copies of the launcher in scratch checkouts, for tests that start it as a user does."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

# A Pants that only says how it was started: it makes a set-up take seconds instead of a minute.
_RECORDING_PANTS = """
import json, os, sys

def main():
    print(json.dumps({"args": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ),
                      "executable": sys.executable, "path": sys.path}))
"""
# No index is at a port that nothing can listen on.
UNREACHABLE_URL = "http://127.0.0.1:1/"


def repository_root() -> Path:
    """The folder that has the ``pants`` script, above this file."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "pants").is_file():
            return folder
    raise FileNotFoundError("no folder above this file has the pants script")


def base_python() -> Path:
    """The CPython 3.9 that runs the tests, outside of any virtual environment."""
    python = Path(sys.base_prefix, "bin", "python3.9")
    return python if python.exists() else Path(sys.executable).resolve()


def script(path: Path, body: str) -> Path:
    """Writes an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def recording_wheel(folder: Path) -> str:
    """Makes a wheel of :data:`_RECORDING_PANTS` under Pants's name; gives its SHA-256."""
    info = "pantsbuild.pants-2.17.1.dist-info"
    files = {
        "recording_pants.py": _RECORDING_PANTS,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: pantsbuild.pants\nVersion: 2.17.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\npants = recording_pants:main\n",
    }
    rows = []
    wheel = folder / "pantsbuild.pants-2.17.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows.append(f"{name},sha256={hashed.decode().rstrip('=')},{len(text)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Wheelhouse:
    """Local copies of what set-ups take from the package index."""

    folder: Path
    pants_sha256: str


@dataclass
class Checkout:
    """A scratch checkout with the launcher, and a user with a home folder of their own."""

    root: Path
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, folder: Path) -> Checkout:
        """Copies the launcher and its locks; the environment is that of a bare machine."""
        source = repository_root()
        root, home = folder / "checkout", folder / "home"
        home.mkdir(parents=True)
        for part in ("src/python/pants_launcher", "3rdparty/python/launcher"):
            shutil.copytree(
                source / part, root / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(source / "pants", root / "pants")
        checkout = cls(root, home)
        # pip's variables are the machine's way to the package index.
        kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
        checkout.env = {**kept, "HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        return checkout

    def use(self, wheelhouse: Wheelhouse) -> None:
        """Has set-ups install the recording Pants, with no other index than the wheelhouse."""
        pex = self.lock("pex").read_text()
        self.lock("pants").write_text(
            f"pantsbuild-pants==2.17.1 --hash=sha256:{wheelhouse.pants_sha256}\n{pex}"
        )
        self.env.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheelhouse.folder))

    def lock(self, name: str) -> Path:
        """The locked requirements ``name`` of this checkout."""
        return self.root / "3rdparty/python/launcher" / f"{name}.lock"

    def hide_python39(self, folder: Path) -> None:
        """Leaves a ``python3`` on the PATH, and no CPython 3.9 where the launcher looks for one."""
        script(folder / "python3", f'exec "{base_python()}" "$@"')
        self.env["PATH"] = str(folder)
        self.env.pop("PANTS_PYTHON", None)

    @property
    def cache(self) -> Path:
        """The launcher's folder in the user's cache."""
        return self.home / ".cache/strata/launcher"

    def environments(self) -> list[Path]:
        """The folders of the environments, finished or not."""
        return [path for path in self.cache.glob("environments/*") if path.is_dir()]

    def popen(self, *args: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Starts ``./pants`` in a process group of its own."""
        return subprocess.Popen(
            [str(self.root / "pants"), *args],
            cwd=cwd or self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            start_new_session=True,
        )

    def run(self, *args: str, cwd: Path | None = None) -> Finished:
        """Runs ``./pants`` to its end."""
        return finish(self.popen(*args, cwd=cwd))


@dataclass(frozen=True)
class Finished:
    """What a start came to."""

    code: int
    out: str
    err: str

    def recorded(self) -> Recorded:
        """What the recording Pants said, after checking that it alone used standard output."""
        assert self.code == 0, self.err
        said = json.loads(self.out)
        return Recorded(said["args"], said["cwd"], said["env"], said["executable"], said["path"])

    def failed_with(self, pattern: str) -> None:
        """Checks for an orderly failure with a message that matches."""
        assert self.code == 1, (self.code, self.err)
        assert self.out == ""
        assert "Traceback" not in self.err, self.err
        assert self.err.count("pants: error:") == 1, self.err
        assert re.search(pattern, self.err), self.err


@dataclass(frozen=True)
class Recorded:
    """How the recording Pants was started."""

    args: list[str]
    cwd: str
    env: dict[str, str]
    executable: str
    path: list[str]


def finish(process: subprocess.Popen[str]) -> Finished:
    """Waits for a start to end."""
    out, err = process.communicate(timeout=600)
    return Finished(process.returncode, out, err)
