"""Of a target's complete platform files an image gets those for it."""

from __future__ import annotations

import json
from typing import Tuple

import pytest

from strata.closure.python.complete_platforms import choose_complete_platforms
from strata.closure.python.metadata import PythonPlatform
from strata.errors import StrataError


def described(machine: str, python: str = "3.11", system: str = "linux") -> bytes:
    environment = {
        "platform_machine": machine,
        "python_version": python,
        "sys_platform": system,
    }
    return json.dumps({"compatible_tags": [], "marker_environment": environment}).encode()


FILES = {
    "amd64": described("x86_64"),
    "arm64": described("aarch64"),
    "arm64-new": described("aarch64", "3.12"),
    "mac": described("aarch64", system="darwin"),
}


@pytest.mark.parametrize(
    ("architecture", "version", "chosen"),
    [
        ("amd64", "3.11.2", ("amd64",)),
        ("arm64", "3.11.2", ("arm64",)),
        ("arm64", "3.12.1", ("arm64-new",)),
        # None is for this Python: the wheels' own check says what is wrong.
        ("arm64", "3.13.1", ("arm64", "arm64-new")),
    ],
)
def test_chosen(architecture: str, version: str, chosen: Tuple[str, ...]) -> None:
    assert choose_complete_platforms(FILES, PythonPlatform(version, architecture)) == chosen


def test_none_for_the_image() -> None:
    with pytest.raises(StrataError, match=r"on riscv64.*\(they are for aarch64, x86_64\)"):
        choose_complete_platforms(FILES, PythonPlatform("3.11.2", "riscv64"))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"marker_environment": {}}', b"\xff"])
def test_no_platform_file(text: bytes) -> None:
    with pytest.raises(StrataError, match="broken.json is no complete platform file"):
        choose_complete_platforms({"broken.json": text}, PythonPlatform("3.11.2", "amd64"))
