"""Programs are told apart by the machine that they are for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from strata.elf import ELF_MACHINES, HEADER, architecture_of, misfit
from strata.namespace.foreign import probe
from strata.platforms import MACHINES, Platform


@pytest.mark.parametrize("architecture", sorted(MACHINES))
def test_every_machine(architecture: str) -> None:
    """These programs run, as the tests of namespaces show."""
    assert architecture_of(probe(Platform(architecture))[:HEADER]) == architecture


def test_a_real_program() -> None:
    with open(Path(sys.executable).resolve(), "rb") as file:
        machine = MACHINES[architecture_of(file.read(HEADER))]
    assert machine == os.uname().machine


def test_all_are_known() -> None:
    assert sorted(ELF_MACHINES) == sorted(MACHINES)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" * 4, b"\x7fELF" + bytes(16)])
def test_no_program(content: bytes) -> None:
    assert architecture_of(content[:HEADER]) == ""


def test_misfits() -> None:
    platform = Platform("arm64")
    assert misfit({}, platform) == ("", "")
    assert misfit({"arm64": "a"}, platform) == ("", "")
    assert misfit({"arm": "a"}, platform) == ("", "")
    assert misfit({"amd64": "a", "arm64": "b"}, platform) == ("", "")
    assert misfit({"amd64": "b", "386": "a"}, platform) == ("386", "a")
    assert misfit({"arm64": "a"}, Platform("arm")) == ("arm64", "a")
