"""Fixtures: scratch checkouts, and the wheels that they set Pants up from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from launcher_checkout import (  # pants: no-infer-dep
    Checkout,  # pants: no-infer-dep
    Wheelhouse,  # pants: no-infer-dep
    base_python,  # pants: no-infer-dep
    recording_wheel,  # pants: no-infer-dep
    repository_root,  # pants: no-infer-dep
)

sys.path.insert(0, str(repository_root() / "src/python"))


def _download(wheelhouse: Path, *locks: str) -> None:
    requirements = [
        argument
        for name in locks
        for argument in ("-r", str(repository_root() / f"3rdparty/python/launcher/{name}.lock"))
    ]
    subprocess.run(
        [str(base_python()), "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        + ["--dest", str(wheelhouse), *requirements],
        check=True,
    )


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Wheelhouse:
    """The real filelock and Pex, and the recording Pants."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    _download(folder, "stage0", "pex")
    return Wheelhouse(folder, recording_wheel(folder))


@pytest.fixture(scope="session")
def wheelhouse_with_uv(wheelhouse: Wheelhouse) -> Wheelhouse:
    """The same with the real uv."""
    _download(wheelhouse.folder, "uv")
    return wheelhouse


@pytest.fixture
def checkout(tmp_path: Path, wheelhouse: Wheelhouse) -> Checkout:
    """A checkout on a machine with a CPython 3.9, nothing set up yet."""
    result = Checkout.create(tmp_path)
    result.use(wheelhouse)
    result.env["PANTS_PYTHON"] = str(base_python())
    return result


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Wheelhouse) -> Checkout:
    """A checkout where Pants is set up already, shared by the tests of a module."""
    result = Checkout.create(tmp_path_factory.mktemp("ready"))
    result.use(wheelhouse)
    result.env["PANTS_PYTHON"] = str(base_python())
    result.run().recorded()
    return result
