"""A copy of the checkout in which tests run the real Pants."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

_HERE = Path(__file__).resolve()
CHECKOUT = next(path for path in _HERE.parents if (path / "pants.toml").exists())
_COPIED = (
    "3rdparty",
    "app",
    "examples",
    "rules",
    "src",
    "BUILD",
    "LICENSE",
    "pants",
    "pants.toml",
    "pyproject.toml",
)
# Pants gives its daemon 60 seconds to start, which a busy machine may not have. It starts anyway,
# and the next try finds it.
_IMPATIENT = "while waiting for pantsd to start"
_PATIENCE = 4
# Newer releases add how long it took.
_COMPLETED = re.compile(r"Completed: (.*?)(?: \(\d+\.\d+s\))?$", re.MULTILINE)


@dataclass(frozen=True)
class PantsResult:
    """``processes`` are the descriptions of all processes that really ran."""

    exit_code: int
    output: str
    processes: List[str]

    @property
    def layer_processes(self) -> List[str]:
        return [
            name.partition(" - ")[0]
            for name in self.processes
            if name.startswith(("Layer of", "Customisation layer"))
        ]


class PantsCheckout:
    """``root`` is the copy's folder. Caches are the user's unless ``caches`` names a folder.

    With ``daemon`` Pants' daemon stays between runs, until ``stop`` is called.
    """

    def __init__(self, root: Path, caches: Optional[Path] = None, daemon: bool = False) -> None:
        self.root = root
        self._caches = caches
        self._daemon = daemon
        root.mkdir(parents=True, exist_ok=True)
        for name in _COPIED:
            source = CHECKOUT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, root / name, ignore=ignored, symlinks=True)
            elif source.exists():
                shutil.copy2(source, root / name)
        (root / "pants").chmod(0o755)

    def write(self, path: str, content: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{path} does not contain {old!r}"
        self.write(path, text.replace(old, new))

    def run(
        self,
        *arguments: str,
        environment: Optional[Mapping[str, str]] = None,
        prefix: List[str] = [],  # noqa: B006 - never changed
        check: bool = True,
    ) -> PantsResult:
        for _ in range(_PATIENCE):
            process = subprocess.run(
                [*prefix, str(self.root / "pants"), *arguments],
                cwd=self.root,
                env=self.environment(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output = process.stdout.decode(errors="replace")
            if not process.returncode or _IMPATIENT not in output:
                break
        if check:
            assert process.returncode == 0, output
        return PantsResult(process.returncode, output, _COMPLETED.findall(output))

    def stream(self, *arguments: str, **environment: str) -> bytes:
        """What a command writes to standard output."""
        process = subprocess.run(
            [str(self.root / "pants"), *arguments],
            cwd=self.root,
            env=self.environment(environment),
            stdout=subprocess.PIPE,
            check=True,
        )
        return process.stdout

    def environment(self, changes: Mapping[str, str]) -> Dict[str, str]:
        """What Pants and the programs around it run with; ``changes`` come on top."""
        environment = dict(os.environ)
        environment.update(
            PANTS_PANTSD=str(self._daemon),
            PANTS_DYNAMIC_UI="False",
            PANTS_COLORS="False",
            PANTS_LEVEL="info",
            # Builds of this very checkout may go on at the same time.
            PANTS_CONCURRENT=str(not self._daemon),
        )
        # The launcher need not search: these tests run on what Pants itself needs.
        interpreter = Path(sys.base_prefix) / "bin" / "python3.9"
        if interpreter.exists():
            environment["PANTS_PYTHON"] = str(interpreter)
        if self._caches is not None:
            environment["PANTS_LOCAL_STORE_DIR"] = str(self._caches / "store")
            environment["PANTS_NAMED_CACHES_DIR"] = str(self._caches / "named")
        environment.update(changes)
        return environment

    def stop(self) -> None:
        """Ends the daemon, if there is one."""
        # Where they are depends on the release.
        for folder in (".pids", ".pants.d/pids"):
            for file in self.root.glob(f"{folder}/*/pantsd/pid"):
                os.kill(int(file.read_text()), signal.SIGTERM)

    def report(self, path: str) -> Dict[str, Any]:
        """An image's report, by its path below ``dist`` without suffix."""
        data: Dict[str, Any] = json.loads((self.root / "dist" / f"{path}.json").read_text())
        return data

    def archive(self, path: str) -> Path:
        return self.root / "dist" / f"{path}.tar"


def failure(repository: PantsCheckout, folder: str, build: str, *options: str, **files: str) -> str:
    """What ``package`` prints of a BUILD file whose ``image`` cannot be built."""
    repository.write(f"{folder}/BUILD", build)
    for name, content in files.items():
        repository.write(f"{folder}/{name}", content)
    result = repository.run("package", f"{folder}:image", *options, check=False)
    assert result.exit_code != 0, result.output
    assert not (repository.root / "dist" / folder.replace("/", ".")).exists()
    assert "Traceback" not in result.output
    return result.output


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def members_by_digest(report: Mapping[str, Any]) -> Dict[str, List[str]]:
    return {
        layer["digest"]: [member["name"] for member in layer["members"]]
        for layer in report["layers"]
    }
