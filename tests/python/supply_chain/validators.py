"""Runs others' validators, and our engine with the libraries that they bring."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Mapping

import pytest

import strata

_PEX = "tests.python.supply_chain/validators.pex"


def pex() -> Path:
    """What Pants packages for tests that name it in ``runtime_package_dependencies``."""
    # In a test's sandbox, and in a checkout where it was packaged by hand.
    found = [path for path in (Path(_PEX), Path("dist") / _PEX) if path.exists()]
    if found:
        return found[0].resolve()
    if os.environ.get("STRATA_REQUIRE_TOOLS"):
        pytest.fail(f"needs {_PEX}; run the test with Pants")
    pytest.skip(f"needs {_PEX}; run the test with Pants")


def _run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(pex()), *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def validate(kind: str, path: Path) -> None:
    """Fails unless ``path`` is a valid document of the kind (``cyclonedx``, ``provenance``)."""
    result = _run(kind, str(path))
    assert result.returncode == 0, result.stdout


def is_valid(kind: str, path: Path) -> bool:
    return _run(kind, str(path)).returncode == 0


def run_strata(
    folder: Path, command: str, spec: Mapping[str, Any], hash_seed: int = 0
) -> Dict[str, Any]:
    """What ``strata COMMAND`` writes from ``spec``, and as text under the key ``""``."""
    (folder / "spec.json").write_text(json.dumps({**spec, "output": "out.json"}))
    result = _run(
        "-m",
        "strata",
        command,
        str(folder / "spec.json"),
        str(folder),
        PEX_INTERPRETER="1",
        PEX_EXTRA_SYS_PATH=str(Path(strata.__file__).parents[1]),
        PYTHONHASHSEED=str(hash_seed),
    )
    assert result.returncode == 0, result.stdout
    text = (folder / "out.json").read_text(encoding="utf-8")
    return {**json.loads(text), "": text}
