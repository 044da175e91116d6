"""Runs the engine's ``run-commands`` as the users of a machine would, in every way it knows."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import filelock
import pytest

import strata
from strata.archive.compression import Compression
from strata.archive.entry import Entry
from strata.archive.writer import write_layer

PYTHON = "/usr/bin/python3"
#: An ordinary user that this machine does not have, with subordinate ids.
USER = 54321
_FIRST_SUBORDINATE = 700000

#: Who runs the commands, and what the engine is told of how to isolate them.
WAYS: Mapping[str, Tuple[int, Mapping[str, str]]] = {
    "full map": (0, {"STRATA_ISOLATION": "full"}),
    "subordinate ids": (USER, {"STRATA_ISOLATION": "subordinate"}),
    "single id": (USER, {"STRATA_ISOLATION": "single"}),
    "root without user namespaces": (0, {"STRATA_ISOLATION": "root"}),
    "root without namespaces": (0, {"STRATA_ISOLATION": "plain"}),
    "user without namespaces": (USER, {"STRATA_ISOLATION": "plain"}),
}
#: The same on a kernel that lays no tree over another one.
WAYS_TO_COPY, WAYS_WITH_FUSE = (
    {
        f"{way}, {text}": (WAYS[way][0], {**WAYS[way][1], "STRATA_OVERLAYS": use})
        for way in ("full map", "subordinate ids", "single id")
    }
    for use, text in (("never", "no overlays"), ("fuse", "fuse-overlayfs"))
)
#: On a kernel whose files in memory have no attributes.
WAYS_ON_DISK = {
    f"{way}, on disk": (WAYS[way][0], {**WAYS[way][1], "STRATA_SCRATCH": "disk"})
    for way in ("full map", "subordinate ids", "single id")
}
_ALL_WAYS = {**WAYS, **WAYS_TO_COPY, **WAYS_WITH_FUSE, **WAYS_ON_DISK}
#: Those that can make the image the root folder.
WAYS_INTO_IMAGE = tuple(way for way in WAYS if way != "user without namespaces")


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str
    error: str
    folder: Path

    @property
    def blob(self) -> bytes:
        assert self.code == 0, self.error
        return (self.folder / "blob").read_bytes()

    def members(self) -> Dict[str, tarfile.TarInfo]:
        assert self.code == 0, self.error
        with tarfile.open(self.folder / "blob") as archive:
            return {member.name: member for member in archive}

    def content(self, path: str) -> bytes:
        assert self.code == 0, self.error
        with tarfile.open(self.folder / "blob") as archive:
            file = archive.extractfile(path)
            assert file is not None
            return file.read()


class Machine:
    """A copy of the engine that every user may read, and folders for its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        engine = folder / "engine"
        for package in (strata, filelock):
            source = Path(package.__file__ or "").parent
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, engine / source.name, ignore=ignored)
        for path in (engine, *engine.rglob("*")):
            path.chmod(0o755)
        self._users = self._write_users()
        self._runs = 0

    def _write_users(self) -> List[Tuple[Path, str]]:
        passwd = self.folder / "passwd"
        passwd.write_text(
            Path("/etc/passwd").read_text() + f"somebody:x:{USER}:{USER}::/:/bin/sh\n"
        )
        files = [(passwd, "/etc/passwd")]
        for name in ("subuid", "subgid"):
            path = self.folder / name
            path.write_text(f"somebody:{_FIRST_SUBORDINATE}:65536\n")
            files.append((path, f"/etc/{name}"))
        # As udev makes it, where there is one.
        fuse = self.folder / "fuse"
        os.mknod(fuse, stat.S_IFCHR | 0o666, os.makedev(10, 229))
        fuse.chmod(0o666)
        return [*files, (fuse, "/dev/fuse")]

    def layer(self, *entries: Entry) -> Dict[str, str]:
        """A layer below the customisation layer."""
        self._runs += 1
        path = self.folder / f"layer-{self._runs}.tar"
        blob = write_layer(entries, path, Compression.NONE, 1)
        return {"blob": str(path), "diff_id": blob.diff_id}

    def prepare(
        self,
        script: str,
        way: str = "full map",
        in_image: bool = False,
        entries: Sequence[Entry] = (),
        layers: Sequence[Dict[str, str]] = (),
        **changes: Any,
    ) -> Tuple[List[str], Path, Dict[str, str]]:
        """A command line, the folder to run it in, and its environment."""
        user, _ = _ALL_WAYS[way]
        self._runs += 1
        folder = self.folder / f"run-{self._runs}"
        folder.mkdir()
        write_layer(entries, folder / "customisation.tar", Compression.NONE, 1)
        cache = self.cache(way)
        field = "fakeroot_commands"
        spec = {
            "name": "customisation",
            "customisation": "customisation.tar",
            "cache": str(cache),
            "network": False,
            "compression": "none",
            "mtime": 1,
            "owners": [],
            "parents": [],
            "scripts": [{"field": field, "text": script, "as_root": True, "in_image": in_image}],
            "tools": [],
            "packaged_tools": [],
            "files": [],
            "environment": {},
            "timeout": 300,
            "memory": "50%",
            "layers": list(layers),
            **changes,
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        for path in (folder, *folder.iterdir()):
            os.chown(path, user, user)
        command, environment = self.program(way, "run-commands", "spec.json")
        return command, folder, environment

    def cache(self, way: str) -> Path:
        """The folder of unpacked layers that the user of ``way`` has."""
        user, _ = _ALL_WAYS[way]
        cache = self.folder / f"cache-{user}"
        cache.mkdir(exist_ok=True)
        os.chown(cache, user, user)
        return cache

    def program(self, way: str, *arguments: str) -> Tuple[List[str], Dict[str, str]]:
        """A command line of the engine's, and its environment."""
        user, isolation = _ALL_WAYS[way]
        command = [PYTHON, "-m", "strata", *arguments]
        if user:
            identity = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            command = [*self._with_users(), "setpriv", *identity, *command]
        return command, {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(self.folder / "engine"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **isolation,
        }

    def _with_users(self) -> List[str]:
        """Runs the rest in a mount namespace where the ordinary user exists."""
        mounts = " && ".join(f"mount --bind {source} {target}" for source, target in self._users)
        return ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]

    def run(self, script: str, way: str = "full map", **changes: Any) -> Outcome:
        command, folder, environment = self.prepare(script, way, **changes)
        process = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, check=False
        )
        return Outcome(
            process.returncode,
            process.stdout.decode(errors="replace"),
            process.stderr.decode(errors="replace"),
            folder,
        )


def new_machine() -> Machine:
    return Machine(Path(tempfile.mkdtemp(prefix="strata-namespace-", dir="/tmp")))


def missing() -> Optional[str]:
    """What this machine lacks for these tests."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("setpriv", "unshare", "newuidmap", "bash", "setcap", "fuse-overlayfs"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return f"needs {program}"
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.version_info >= (3, 9))"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if version.stdout.strip() == "True" else f"needs {PYTHON}, 3.9 or newer"


def need(program: str) -> None:
    """Skips the test that calls it if there is no ``program``."""
    if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        skip_or_fail(f"needs {program}")


def skip_or_fail(reason: str) -> None:
    if os.environ.get("STRATA_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)
