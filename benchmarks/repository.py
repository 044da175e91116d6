"""A scratch copy of the checkout with a service of about 430 MB to build images of."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any, Dict, List

import measure

CHECKOUT = Path(__file__).resolve().parents[1]
_COPIED = ("3rdparty", "app", "rules", "src", "BUILD", "pants", "pants.toml", "pyproject.toml")
_BUILD = """
python_requirements(name="wheels", source="requirements.txt", resolve="benchmarks",
                    module_mapping={{"scikit-learn": ["sklearn"], "grpcio": ["grpc"]}})

python_sources(resolve="benchmarks", interpreter_constraints=["CPython>=3.9,<3.13"])

pex_binary(name="service", entry_point="service.py:main", resolve="benchmarks",
           interpreter_constraints=["CPython>=3.9,<3.13"], complete_platforms=["app:platform"])

pex_binary(name="other", entry_point="other.py:main", resolve="benchmarks",
           interpreter_constraints=["CPython>=3.9,<3.13"], complete_platforms=["app:platform"])

layered_image(name="image", contents=[":service", "app:os"], formats=["{form}"], mtime="{mtime}",
              bytecode={bytecode})
layered_image(name="second", contents=[":other", "app:os"], formats=["{form}"], mtime="{mtime}",
              bytecode={bytecode})
"""
_MODULE = """import boto3
import grpc
import matplotlib
import numpy
import pandas
import scipy
import sklearn
import sqlalchemy

VERSION = 0


def main():
    print(VERSION)
"""


class Repository:
    """``form`` is the image format that ``package`` writes (``oci`` or ``tar``)."""

    def __init__(self, root: Path, form: str, bytecode: bool) -> None:
        self.root = root
        self._form = form
        self._bytecode = bytecode
        self._numbers = itertools.count(1)
        self._mtime = ""
        for name in _COPIED:
            source = CHECKOUT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, root / name, ignore=ignored)
            else:
                shutil.copy2(source, root / name)
        folder = root / "app" / "bench"
        folder.mkdir()
        shutil.copy2(CHECKOUT / "benchmarks/requirements.txt", folder)
        for module in ("service", "other"):
            (folder / f"{module}.py").write_text(_MODULE)
        settings = (root / "pants.toml").read_text()
        line = 'app = "3rdparty/python/app.lock"'
        assert line in settings
        extra = f'{line}\nbenchmarks = "app/bench/wheels.lock"'
        (root / "pants.toml").write_text(settings.replace(line, extra))
        self.choose_wheels("wheels.lock")
        self.forget_layers()

    def choose_wheels(self, lock: str) -> None:
        shutil.copy2(CHECKOUT / "benchmarks" / lock, self.root / "app/bench/wheels.lock")
        text = (CHECKOUT / "benchmarks/requirements.txt").read_text()
        if "bumped" in lock:
            text = text.replace("sqlalchemy==2.0.32", "sqlalchemy==2.0.31")
        (self.root / "app/bench/requirements.txt").write_text(text)

    def forget_layers(self) -> None:
        """Gives every layer a new key, and leaves resolved wheels and packages in the cache."""
        # Each run of the benchmark has times of its own.
        minutes = int.from_bytes(os.urandom(3), "big") + next(self._numbers)
        hours, minute = divmod(minutes, 60)
        days, hour = divmod(hours, 24)
        year, day = divmod(days, 28)
        self._mtime = f"{1990 + year % 30}-01-{day + 1:02}T{hour:02}:{minute:02}:00Z"
        build = _BUILD.format(form=self._form, mtime=self._mtime, bytecode=self._bytecode)
        (self.root / "app/bench/BUILD").write_text(build)

    def edit(self) -> None:
        path = self.root / "app/bench/service.py"
        text = _MODULE.replace("VERSION = 0", f"VERSION = {next(self._numbers)}")
        path.write_text(text)

    def package(self, *targets: str, options: "tuple[str, ...]" = ()) -> measure.Sample:
        command = [str(self.root / "pants"), *options, "package"]
        command += [f"app/bench:{target}" for target in targets]
        environment = {**os.environ, "PANTS_DYNAMIC_UI": "False"}
        return measure.run(command, self.root, environment, self.daemons())

    def daemons(self) -> List[int]:
        return [int(p.read_text()) for p in self.root.glob(".pids/*/pantsd/pid")]

    def stop(self) -> None:
        for pid in self.daemons():
            os.kill(pid, signal.SIGTERM)

    def report(self) -> Dict[str, Any]:
        path = self.root / "dist/app.bench/image.json"
        data: Dict[str, Any] = json.loads(path.read_text())
        return data
