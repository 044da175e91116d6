"""Images that run in namespaces: what their program is, sees and may do, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from commands_as_root.machine import (
    WAYS,
    WAYS_ON_DISK,
    WAYS_TO_COPY,
    WAYS_WITH_FUSE,
    Machine,
    need,
)
from commands_as_root.processes import await_true, running
from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType, directory, symlink
from strata.archive.writer import write_layer
from strata.namespace.tools import find_program
from strata.oci.content import json_bytes
from strata.oci.naming import named_index

NAMESPACED = [way for way in WAYS if "without namespaces" not in way]
_PROGRAMS = ("sh", "id", "cat", "sleep", "env", "touch", "stat")
_USERS = "root:x:0:0::/root:/bin/sh\nweb:x:990:991::/srv:/bin/sh\n"
_GROUPS = "root:x:0:\nweb:x:991:\nlogs:x:44:web\n"


def _layer() -> List[Entry]:
    """This machine's shell and a few programs, with what they load."""
    entries = {
        "etc/passwd": Entry("etc/passwd", content=_USERS.encode()),
        "etc/group": Entry("etc/group", content=_GROUPS.encode()),
        "srv": directory("srv").owned_by(990, 991),
        "lib64": Entry("lib64", EntryType.SYMLINK, 0o777, link="usr/lib64"),
    }
    for name in _PROGRAMS:
        program = find_program(Path("/usr/bin") / name)
        entries[f"bin/{name}"] = Entry(f"bin/{name}", mode=0o755, content=program.path.read_bytes())
        for library, path in program.libraries:
            target = f"usr/lib/{Path(library).name}"
            entries[target] = Entry(target, mode=0o755, content=path.read_bytes())
        assert program.loader is not None
        target = f"usr/lib64/{program.loader.name}"
        entries[target] = Entry(target, mode=0o755, content=program.loader.read_bytes())
    return list(entries.values())


@dataclass
class Images:
    machine: Machine
    layer: Path
    diff_id: str
    folder: Path

    def command(
        self, way: str, config: Dict[str, Any], *arguments: str, **changes: Any
    ) -> "tuple[List[str], Dict[str, str]]":
        folder = self.folder / uuid.uuid4().hex
        layout = folder / "layout"
        layout.mkdir(parents=True)
        (layout / "layer.tar").symlink_to(self.layer)
        rootfs = {"diff_ids": [self.diff_id]}
        (layout / "config.json").write_text(json.dumps({"config": config, "rootfs": rootfs}))
        manifest = [{"Config": "config.json", "Layers": ["layer.tar"]}]
        (layout / "manifest.json").write_text(json.dumps(manifest))
        # Nothing reads the descriptor of an image that has one platform.
        (layout / "index.json").write_bytes(json_bytes(named_index({}, [("tested", "latest")])))
        spec = {
            "runtime": "namespace",
            "read_only": False,
            "engine_options": [],
            "layout": str(layout),
            "reference": "tested",
            "cache": str(self.machine.cache(way)),
            "memory": "50%",
            **changes,
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        return self.machine.program(way, "run-image", str(folder / "spec.json"), *arguments)

    def run(
        self, way: str, config: Dict[str, Any], *arguments: str, **changes: Any
    ) -> "subprocess.CompletedProcess[str]":
        command, environment = self.command(way, config, *arguments, **changes)
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, input="typed", check=False
        )

    def start(self, way: str, *arguments: str) -> "subprocess.Popen[str]":
        command, environment = self.command(way, {}, *arguments)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def images(machine: Machine) -> Iterator[Images]:
    folder = machine.folder / "images"
    folder.mkdir()
    layer = folder / "layer.tar"
    blob = write_layer(_layer(), layer, Compression.NONE, 1)
    yield Images(machine, layer, blob.diff_id, folder)


@pytest.mark.parametrize("way", NAMESPACED)
def test_program_user_folder_and_environment(images: Images, way: str) -> None:
    config = {
        "Entrypoint": ["sh", "-c", 'id -u; id -g; cat; echo; pwd; echo "$A $HOME $0 $1"'],
        "Cmd": ["from-cmd"],
        "Env": ["A=b"],
        "User": "web",
        "WorkingDir": "/srv/made",
    }
    result = images.run(way, config)
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["990", "991", "typed", "/srv/made", "b /srv from-cmd "]
    assert result.returncode == 0, result.stderr
    given = images.run(way, config, "one", "two")
    assert given.stdout.splitlines()[-1] == "b /srv one two"


@pytest.mark.parametrize("way", NAMESPACED)
def test_exit_codes(images: Images, way: str) -> None:
    assert images.run(way, {}, "sh", "-c", "exit 7").returncode == 7
    assert images.run(way, {}, "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL
    missing = images.run(way, {}, "no-such-program")
    assert missing.returncode == 127
    assert "no-such-program cannot be run: No such file or directory" in missing.stderr
    assert images.run(way, {}, "/etc/passwd").returncode == 126


@pytest.mark.parametrize("way", NAMESPACED)
def test_signals_arrive(images: Images, way: str) -> None:
    script = "trap 'echo stopping; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    process = images.start(way, "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "stopping\n"
    assert process.wait() == 3


@pytest.mark.parametrize("way", NAMESPACED)
def test_nothing_survives_a_kill(images: Images, way: str) -> None:
    mark = f"{time.time_ns() % 10**9}"
    process = images.start(way, "sh", "-c", f"sleep {mark} & echo ready; wait")
    assert process.stdout is not None
    process.stdout.readline()
    await_true(lambda: running(f"sleep {mark}") != [])
    process.kill()
    process.wait()
    await_true(lambda: running(f"sleep {mark}") == [])


@pytest.mark.parametrize("way", [*NAMESPACED, *WAYS_WITH_FUSE, *WAYS_TO_COPY, *WAYS_ON_DISK])
def test_changes_are_of_one_run(images: Images, way: str) -> None:
    script = "touch /bin/new && echo changed > /etc/passwd && stat -f -c %T /"
    made = images.run(way, {}, "sh", "-c", script)
    assert made.returncode == 0, made.stderr
    kind = "tmpfs" if way in WAYS_TO_COPY else "fuse" if way in WAYS_WITH_FUSE else "overlayfs"
    assert kind in made.stdout
    again = images.run(way, {}, "sh", "-c", "test ! -e /bin/new && cat /etc/passwd")
    assert again.stdout == _USERS


@pytest.mark.parametrize("way", NAMESPACED)
def test_read_only(images: Images, way: str) -> None:
    result = images.run(way, {}, "touch", "/bin/new", read_only=True)
    assert result.returncode == 1
    assert "Read-only file system" in result.stderr


@pytest.mark.parametrize("way", NAMESPACED)
def test_the_machine_is_out_of_reach(images: Images, way: str) -> None:
    script = "cat /proc/sysrq-trigger; echo 1 > /proc/sys/kernel/panic; echo 1 > /sys/kernel/x"
    result = images.run(way, {}, "sh", "-c", f"{script}; test -e /work || test -e /home || exit 9")
    assert result.returncode == 9
    assert result.stderr.count("Read-only file system") + result.stderr.count("denied") >= 2


def test_loopback_is_the_machines(images: Images) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = f"{listener.getsockname()[1]:04X}"
        listener.listen()
        seen = images.run("subordinate ids", {}, "cat", "/proc/net/tcp").stdout
    assert f"0100007F:{port}" in seen


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "neither an Entrypoint nor a Cmd"),
        ({"Cmd": ["id"], "User": "nobody-here"}, "no user 'nobody-here'"),
        ({"Cmd": ["id"], "User": "web:none"}, "no group 'none'"),
    ],
)
def test_what_cannot_be_started(images: Images, config: Dict[str, Any], expected: str) -> None:
    result = images.run("full map", config)
    assert result.returncode == 1
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_groups_of_the_user(images: Images) -> None:
    assert images.run("full map", {"User": "web"}, "id", "-G").stdout == "991 44\n"
    assert images.run("full map", {"User": "web:logs"}, "id", "-G").stdout == "44\n"
    assert images.run("full map", {"User": "1234:5678"}, "id", "-G").stdout == "5678\n"


@pytest.mark.parametrize(
    ("way", "user"), [("root without user namespaces", "web"), ("single id", "root")]
)
def test_runc(images: Images, way: str, user: str) -> None:
    need("runc")
    config = {"Entrypoint": ["sh", "-c", "id -un; exit 5"], "User": user}
    result = images.run(way, config, runtime="runc")
    assert result.stdout == f"{user}\n", result.stderr
    assert result.returncode == 5


def test_runc_without_root_runs_as_nobody_else(images: Images) -> None:
    need("runc")
    result = images.run("single id", {"Cmd": ["id"], "User": "web"}, runtime="runc")
    assert result.returncode == 1
    assert "runc needs root to run a program as 990:991" in result.stderr


@pytest.mark.parametrize("way", NAMESPACED)
def test_links_of_the_image_lead_nowhere_else(machine: Machine, images: Images, way: str) -> None:
    """What a runtime makes and reads before the program starts is in the image, too."""
    outside = machine.folder / "runner-outside"
    outside.mkdir(exist_ok=True)
    (outside / "passwd").write_text("web:x:1:1::/outside:/bin/sh\n")
    (outside / "resolv.conf").unlink(missing_ok=True)
    (outside / "resolv.conf").symlink_to("elsewhere")
    layer = images.folder / f"links-{way}.tar"
    plain = [entry for entry in _layer() if not entry.path.startswith(("etc/", "srv"))]
    links = [symlink("etc", str(outside)), symlink("srv", str(outside))]
    blob = write_layer([*plain, *links], layer, Compression.NONE, 1)
    linked = Images(machine, layer, blob.diff_id, images.folder)
    result = linked.run(way, {"Cmd": ["id"], "User": "web"})
    assert "has no user 'web'" in result.stderr
    result = linked.run(way, {"Cmd": ["sh", "-c", "echo x"], "WorkingDir": "/srv/made"})
    assert result.stdout == "x\n", result.stderr
    assert sorted(path.name for path in outside.iterdir()) == ["passwd", "resolv.conf"]
    assert (outside / "resolv.conf").is_symlink()


def test_working_directory_that_cannot_be(images: Images) -> None:
    result = images.run("full map", {"Cmd": ["id"], "WorkingDir": "/etc/passwd/x"})
    assert result.returncode == 1
    assert "/etc/passwd/x, the WorkingDir of the image's config, cannot be made" in result.stderr
    assert "Traceback" not in result.stderr
