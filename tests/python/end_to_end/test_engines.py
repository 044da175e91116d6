"""Layer bytes do not depend on the Python or the CPU that made them.

Real sandboxes of layer processes are kept, and the engine is run in them again: by every CPython
that can be found, and on emulated processors of several generations.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from end_to_end.interpreters import interpreters
from end_to_end.pants_checkout import PantsCheckout, sha256
from end_to_end.tools import require, unavailable

_BUILD = """
layered_image(
    name="{name}",
    contents=["app:server", "app:os", "app:users"],
    compression="{compression}",
    mtime="2001-02-03T04:05:06Z",
    layering="popularity",
    max_layers=100,
)
"""
_LARGEST = 4_000_000
#: The oldest that is supported, the demo's own, and a new one.
_VERSIONS = ("3.9", "3.11", "3.13")
_PROCESSORS = ("Nehalem", "Haswell", "max")


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[List[Path]]:
    """Sandboxes of small layers of each kind of object and with each compression."""
    folder = tmp_path_factory.mktemp("engines")
    checkout = PantsCheckout(folder / "checkout", daemon=True)
    for compression in ("gzip", "zstd", "none"):
        build = _BUILD.format(name="image", compression=compression)
        checkout.write(f"e/{compression}/BUILD", build)
    kept = folder / "kept"
    kept.mkdir()
    checkout.run(
        "package",
        "e::",
        "--keep-sandboxes=always",
        f"--local-execution-root-dir={kept}",
        # A process that is cached has no sandbox.
        f"--process-execution-cache-namespace={uuid.uuid4()}",
    )
    chosen: Dict[str, Path] = {}
    for sandbox in sorted(kept.iterdir()):
        layer, spec = _read(sandbox, "layer.json"), _read(sandbox, "spec.json")
        if layer and "objects" in spec and layer["uncompressed_size"] <= _LARGEST:
            kind = spec["objects"][0]["name"].partition(":")[0]
            chosen.setdefault(f"{spec['compression']} {kind}", sandbox)
    assert len(chosen) == 9, sorted(chosen)
    yield list(chosen.values())
    checkout.stop()


def _read(sandbox: Path, name: str) -> Dict[str, Any]:
    path = sandbox / name
    data: Dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return data


def layer_again(sandbox: Path, out: Path, *python: str) -> Dict[str, Any]:
    subprocess.run(
        [*python, "-IB", "engine", "layer", "spec.json", str(out)],
        cwd=sandbox,
        env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
        check=True,
    )
    result = _read(out, "layer.json")
    shutil.rmtree(out)
    return result


def test_every_python_makes_the_same_layers(sandboxes: List[Path], tmp_path: Path) -> None:
    found = interpreters()
    missing = [version for version in _VERSIONS if version not in found]
    if missing:
        unavailable(f"needs CPython {', '.join(missing)}")
    for sandbox in sandboxes:
        for version, python in found.items():
            again = layer_again(sandbox, tmp_path / "out", python)
            assert again == _read(sandbox, "layer.json"), (version, sandbox)


@pytest.mark.parametrize("version", _VERSIONS)
def test_image_is_equal_whichever_python_runs_the_engine(
    built: PantsCheckout, checkout: PantsCheckout, tmp_path: Path, version: str
) -> None:
    """All of a build, not only its layers: the option says where the engine's Python is."""
    found = interpreters()
    if version not in found:
        unavailable(f"needs CPython {version}")
    folder = tmp_path / "python"
    folder.mkdir()
    # No link: a Python that is started by one looks for its library where the link is.
    program = folder / "python3"
    program.write_text(f'#!/bin/sh\nexec "{found[version]}" "$@"\n')
    program.chmod(0o755)
    checkout.run("package", "app:image", f"--layered-images-python-search-path=['{folder}']")
    assert sha256(checkout.archive("app/image")) == sha256(built.archive("app/image"))
    assert checkout.report("app/image") == built.report("app/image")


@pytest.mark.parametrize("processor", _PROCESSORS)
def test_every_processor_makes_the_same_layers(
    sandboxes: List[Path], tmp_path: Path, processor: str
) -> None:
    require("qemu-x86_64")
    for sandbox in sandboxes:
        emulator = ("qemu-x86_64", "-cpu", processor, "/usr/bin/python3")
        again = layer_again(sandbox, tmp_path / "out", *emulator)
        assert again == _read(sandbox, "layer.json"), sandbox
