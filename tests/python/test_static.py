"""The linter and the type checker have nothing to say about the project's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = next(p for p in Path(__file__).resolve().parents if (p / "pants.toml").exists())
FOLDERS = ("app", "benchmarks", "rules", "src/python", "tests/python")


def run(*arguments: str) -> None:
    process = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_finds_nothing(command: "tuple[str, ...]") -> None:
    assert all((CHECKOUT / folder).is_dir() for folder in FOLDERS)
    run("ruff", *command, "--no-cache", *FOLDERS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--strict", "-p", "strata"),
        ("--strict", "-p", "pants_launcher"),
        ("-p", "layered_image"),
    ],
    ids=lambda arguments: arguments[-1],
)
def test_mypy_finds_nothing(arguments: "tuple[str, ...]", tmp_path: Path) -> None:
    run("mypy", f"--cache-dir={tmp_path}", *arguments)
