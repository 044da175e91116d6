"""Machines that allow no namespaces: why, and what to do about it, is said at once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Dict, List

import pytest

from commands_as_root.machine import PYTHON, Machine, Outcome
from strata.archive.entry import Entry

_WAY = "single id"
# Limits of namespaces are those of a user namespace and of all below it.
_LIMITED = """
import subprocess, sys
from strata.namespace import linux
from strata.namespace.id_map import full_map
from strata.namespace.isolation import Isolation, run_isolated

def limited():
    linux.mount("proc", "/proc", "proc")
    with open("/proc/sys/user/max_user_namespaces", "w") as limit:
        limit.write("0")
    return subprocess.run(sys.argv[1:]).returncode

sys.exit(run_isolated(limited, Isolation(full_map())))
"""
#: What root does to an ordinary user: a command that runs the rest, why the kernel then refuses
#: namespaces, and what the user is told to do.
BARRIERS = [
    (
        "unshare --mount sh -c 'mount --bind /dev/null /proc/version && exec \"$@\"' sh",
        "mounting a /proc: Operation not permitted",
        "docker run --security-opt systempaths=unconfined",
    ),
    (
        f"{PYTHON} -c '{_LIMITED}'",
        "unshare: No space left on device",
        "Set the sysctl user.max_user_namespaces to more than 0.",
    ),
]


def run_behind(
    barrier: str, command: List[str], folder: Path, environment: Dict[str, str]
) -> Outcome:
    del environment["STRATA_ISOLATION"]
    process = subprocess.run(
        ["sh", "-c", f'exec {barrier} "$@"', "sh", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(process.returncode, process.stdout, process.stderr, folder)


@pytest.mark.parametrize(("barrier", "reason", "remedy"), BARRIERS)
def test_reason_and_remedy(machine: Machine, barrier: str, reason: str, remedy: str) -> None:
    layers = [machine.layer(Entry("etc/config", content=b"x"))]
    prepared = machine.prepare("true", _WAY, in_image=True, layers=layers)
    refused = run_behind(barrier, *prepared)
    assert refused.code == 1
    assert "this machine cannot run the commands (" in refused.error
    assert f"single: {reason}" in refused.error
    assert remedy in refused.error
    assert "Traceback" not in refused.error


@pytest.mark.parametrize(("barrier", "reason", "remedy"), BARRIERS)
def test_what_needs_no_namespaces_goes_on(
    machine: Machine, barrier: str, reason: str, remedy: str
) -> None:
    script = "touch file; chown 7:8 file; mknod null c 1 3"
    outcome = run_behind(barrier, *machine.prepare(script, _WAY))
    assert outcome.blob == machine.run(script).blob


@pytest.mark.parametrize(("barrier", "reason", "remedy"), BARRIERS)
def test_check_namespaces(machine: Machine, barrier: str, reason: str, remedy: str) -> None:
    _, folder, _ = machine.prepare("true", _WAY)
    command, environment = machine.program(_WAY, "check-namespaces", "spec.json")
    outcome = run_behind(barrier, command, folder, environment)
    assert outcome.code == 0, outcome.error
    assert f"a user namespace with one id: refused ({reason})" in outcome.output
    assert "fakeroot_commands in the customisation tree: with no namespaces" in outcome.output
    assert "fakeroot_commands with fakeroot_chroot: not on this machine" in outcome.output
    assert remedy in outcome.output
