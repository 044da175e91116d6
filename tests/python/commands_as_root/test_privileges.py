"""The privileges that commands have, and how they could get more."""

from __future__ import annotations

from typing import Dict

import pytest

from commands_as_root.machine import WAYS, Machine
from strata.namespace.step import ROOT_CAPABILITIES, USER_CAPABILITIES


def status(machine: Machine, way: str, as_root: bool) -> Dict[str, str]:
    script = {"field": "x", "text": "cat /proc/self/status", "as_root": as_root, "in_image": False}
    outcome = machine.run("", way, scripts=[script])
    assert outcome.code == 0, outcome.error
    rows = (line.partition(":") for line in outcome.output.splitlines())
    return {name: value.strip() for name, _, value in rows}


def mask(capabilities: "frozenset[int]") -> int:
    return sum(1 << number for number in capabilities)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "user without namespaces"])
def test_capabilities_are_those_of_a_build(machine: Machine, way: str) -> None:
    for as_root, allowed in ((True, ROOT_CAPABILITIES), (False, USER_CAPABILITIES)):
        found = status(machine, way, as_root)
        assert int(found["CapEff"], 16) == mask(allowed)
        assert int(found["CapBnd"], 16) == mask(allowed)
        assert int(found["CapAmb"], 16) == 0


def test_user_without_namespaces_has_no_capabilities(machine: Machine) -> None:
    for as_root in (True, False):
        assert int(status(machine, "user without namespaces", as_root)["CapEff"], 16) == 0


@pytest.mark.parametrize("way", list(WAYS))
def test_set_user_id_works_only_where_there_are_others(machine: Machine, way: str) -> None:
    others = way in ("full map", "subordinate ids", "root without user namespaces")
    assert status(machine, way, as_root=True)["NoNewPrivs"] == ("0" if others else "1")
    assert status(machine, way, as_root=False)["NoNewPrivs"] == "1"
    assert status(machine, way, as_root=True)["Seccomp"] == "2"


@pytest.mark.parametrize("way", ["full map", "subordinate ids"])
def test_program_with_the_set_user_id_bit(machine: Machine, way: str) -> None:
    """As maintainer scripts start them: an ordinary user of the image becomes root by one."""
    script = """
cp $(command -v id) own-id
chmod 4755 own-id
setpriv --reuid=1000 --clear-groups ./own-id -u > by-bit
setpriv --reuid=1000 --clear-groups id -u > without
"""
    outcome = machine.run(script, way, tools=["setpriv"])
    assert (outcome.content("by-bit"), outcome.content("without")) == (b"0\n", b"1000\n")
