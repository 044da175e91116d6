"""What commands see, what they cannot reach, and what is left when they end."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import List

import pytest

from commands_as_root.machine import USER, WAYS, WAYS_INTO_IMAGE, Machine
from strata.archive.entry import Entry, symlink

NAMESPACED = [way for way in WAYS if "without namespaces" not in way]


@pytest.mark.parametrize("way", list(WAYS))
def test_surroundings_are_fixed(machine: Machine, way: str) -> None:
    outcome = machine.run("umask > seen; env | sort >> seen", way, environment={"OWN": "value"})
    lines = outcome.content("seen").decode().splitlines()
    variables = dict(line.split("=", 1) for line in lines[1:])
    assert lines[0] == "0022"
    for name in ("PATH", "PWD", "SHLVL", "TMPDIR", "_"):
        variables.pop(name, None)
    assert variables == {
        "HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
        "LOGNAME": "root",
        "OWN": "value",
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": "1",
        "TZ": "UTC",
        "USER": "root",
    }


@pytest.mark.parametrize("way", NAMESPACED)
def test_namespaces_are_their_own(machine: Machine, way: str) -> None:
    outcome = machine.run(
        "cat /proc/sys/kernel/hostname > seen; "
        "cat /proc/net/dev | wc -l >> seen; ls -d /proc/[0-9]* | wc -l >> seen; id -u >> seen",
        way,
    )
    name, interfaces, processes, user = outcome.content("seen").decode().split()
    assert name == "localhost"
    assert interfaces == "3"  # Two lines of headings and lo.
    assert int(processes) < 8
    assert user == "0"


@pytest.mark.parametrize("way", list(WAYS))
def test_network_is_out_of_reach(machine: Machine, way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        outcome = machine.run(f"echo hello > /dev/tcp/127.0.0.1/{port}", way)
        assert outcome.code == 1
        with pytest.raises(socket.timeout):
            server.accept()


def test_network_is_there_when_asked_for(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        port = server.getsockname()[1]
        received: List[bytes] = []

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(100))

        thread = threading.Thread(target=accept)
        thread.start()
        outcome = machine.run(f"echo hello > /dev/tcp/127.0.0.1/{port}", network=True)
        thread.join()
    assert outcome.code == 0, outcome.error
    assert received == [b"hello\n"]


@pytest.mark.parametrize("way", NAMESPACED)
@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /proc",
        "umount /proc",
        "unshare -U true",
        "chroot /proc/1/root true",
        "cat /proc/1/environ",
        "ls /proc/1/cwd/",
        "readlink /proc/1/fd/1",
        "kill -9 -1; sleep 0.1; kill -9 1; echo 1 > /proc/sys/kernel/hostname",
        "echo b > /proc/sysrq-trigger",
        "echo x > /usr/bin/strata-was-here",
        "echo x > /usr/lib/strata-was-here; echo x > /etc/ld.so.cache",
        "rm -rf --one-file-system /usr/bin/env",
    ],
)
def test_no_way_out(machine: Machine, way: str, command: str) -> None:
    tools = ["mount", "umount", "unshare", "chroot"]
    assert machine.run(command, way, tools=tools).code == 1
    assert not Path("/usr/bin/strata-was-here").exists()
    assert Path("/usr/bin/env").exists()


def test_user_without_namespaces_changes_only_the_tree(machine: Machine) -> None:
    outside = machine.folder / f"outside-{USER}"
    outside.mkdir()
    os.chown(outside, USER, USER)
    way = "user without namespaces"
    assert machine.run(f"echo x > {outside}/file", way).code == 1
    assert machine.run("mkdir inside; echo x > inside/file; mv inside/file .", way).code == 0
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("way", WAYS_INTO_IMAGE)
def test_nothing_of_the_machine_gets_into_the_layer(machine: Machine, way: str) -> None:
    layers = [machine.layer(Entry("etc/config", content=b"x"))]
    outcome = machine.run(
        "touch /tmp/x /dev/shm/x 2>/dev/null || true; echo y > /etc/config",
        way,
        in_image=True,
        layers=layers,
        tools=["touch"],
    )
    assert sorted(outcome.members()) == ["etc", "etc/config"]


def test_sources_of_the_sandbox_are_not_written_to(machine: Machine) -> None:
    """Large files of a sandbox are hard links into Pants' store."""
    tool = machine.folder / "tool"
    tool.write_text("#!/bin/sh\necho tool\n")
    layer = machine.layer(Entry("etc/config", content=b"x" * 100000))
    before = {path: path.read_bytes() for path in (tool, Path(layer["blob"]))}
    outcome = machine.run(
        "tool; echo changed > $(command -v tool) || true; echo y >> /etc/config; "
        "chmod 000 /etc/config; rm -rf /etc /.strata || true",
        in_image=True,
        layers=[layer],
        tools=["chmod", "rm"],
        packaged_tools=[{"name": "tool", "path": str(tool)}],
    )
    assert outcome.code in (0, 1)
    assert {path: path.read_bytes() for path in before} == before


def test_spec_is_json(machine: Machine) -> None:
    _, folder, _ = machine.prepare("true")
    assert json.loads((folder / "spec.json").read_text())["timeout"] == 300


def test_network_has_the_names_of_the_machine(machine: Machine) -> None:
    """What hosts are called is there as in a container, and leaves no trace in the layer."""
    script = "cat /etc/hosts /etc/resolv.conf; test -d /etc/ssl/certs"
    expected = Path("/etc/hosts").read_text() + Path("/etc/resolv.conf").read_text()
    assert machine.run(script, network=True).output == expected
    held = Entry("etc/hosts", content=b"the image's own", mode=0o600, uid=7)
    for way in WAYS_INTO_IMAGE:
        layers = [machine.layer(held, Entry("etc/config", content=b"x"))]
        outcome = machine.run(
            "cat /etc/hosts /etc/resolv.conf; echo y > /etc/config",
            way,
            in_image=True,
            layers=layers,
            tools=["cat"],
            network=True,
        )
        assert outcome.output == expected
        assert sorted(outcome.members()) == ["etc", "etc/config"]


def test_network_and_an_image_whose_etc_is_a_link(machine: Machine) -> None:
    """Nothing is put where the link leads outside."""
    outside = machine.folder / "outside-etc"
    outside.mkdir()
    layers = [machine.layer(symlink("etc", str(outside)), Entry("file", content=b"x"))]
    for way in WAYS_INTO_IMAGE:
        outcome = machine.run("true", way, in_image=True, layers=layers, network=True)
        assert outcome.code == 0, outcome.error
        assert list(outside.iterdir()) == []


@pytest.mark.parametrize("way", WAYS_INTO_IMAGE)
def test_sys_is_empty(machine: Machine, way: str) -> None:
    layers = [machine.layer(Entry("etc/config", content=b"x"))]
    script = 'test -z "$(ls /sys)"; touch /sys/made 2> /dev/null || true; touch /etc/made'
    outcome = machine.run(script, way, in_image=True, layers=layers, tools=["ls", "touch"])
    assert sorted(outcome.members()) == ["etc", "etc/made"]


@pytest.mark.parametrize("way", list(WAYS))
def test_files_that_cannot_be_read_can_be_looked_at(machine: Machine, way: str) -> None:
    hidden = machine.folder / "hidden"
    hidden.write_text("x")
    hidden.chmod(0)
    script = f"test ! -e {hidden} || stat -c %a {hidden}; touch made; chmod 0 made; stat -c %a made"
    outcome = machine.run(script, way)
    assert outcome.code == 0, outcome.error
