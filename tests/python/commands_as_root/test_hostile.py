"""Commands that misbehave end in an error or in a correct layer, and never in a changed machine."""

from __future__ import annotations

import os
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import List

import pytest

from commands_as_root.machine import WAYS, WAYS_INTO_IMAGE, WAYS_TO_COPY, Machine
from commands_as_root.processes import running
from strata.archive.entry import Entry, symlink

NAMESPACED = [way for way in WAYS if "without namespaces" not in way]


@pytest.mark.parametrize("way", [*NAMESPACED, "user without namespaces"])
def test_fork_bomb(machine: Machine, way: str) -> None:
    outcome = machine.run("bomb() { bomb | bomb & }; bomb; sleep 30", way, timeout=10)
    assert outcome.code == 1
    # The machine still starts processes.
    assert machine.run("true").code == 0


@pytest.mark.parametrize("way", ["full map", "user without namespaces"])
def test_processes_below_each_other(machine: Machine, way: str) -> None:
    """Deeper than any recursion goes."""
    mark = f"1.{time.time_ns()}"
    last = f"else sleep 9{mark}; fi"
    nested = f"f() {{ if [ $1 -gt 0 ]; then ( f $(($1 - 1)); true ); {last}; }}; f 1200"
    outcome = machine.run(nested, way, timeout=20)
    assert outcome.code == 1
    assert "took longer than 20 seconds" in outcome.error
    assert running(f"sleep 9{mark}") == []


@pytest.mark.parametrize("way", list(WAYS))
def test_full_disk(machine: Machine, way: str) -> None:
    if "without namespaces" in way:
        pytest.skip("the disk is the machine's")
    outcome = machine.run("dd if=/dev/zero of=big bs=1M count=200 2>&1", way, memory="64m")
    assert outcome.code == 1
    assert "No space left on device" in outcome.error
    assert os.listdir(outcome.folder).count("blob") == 0


@pytest.mark.parametrize("way", list(WAYS))
def test_many_files(machine: Machine, way: str) -> None:
    outcome = machine.run("mkdir many; cd many; seq 100000 | xargs touch", way)
    assert len(outcome.members()) == 100_001


@pytest.mark.parametrize("way", list(WAYS))
def test_paths_of_4096_bytes(machine: Machine, way: str) -> None:
    deep = 'd=$(printf "%0255d" 0); for i in $(seq 17); do mkdir $d; cd -P $d 2>/dev/null; done'
    outcome = machine.run(deep, way)
    assert outcome.code == 1
    assert "too long" in outcome.error


@pytest.mark.parametrize("way", list(WAYS))
def test_long_paths(machine: Machine, way: str) -> None:
    deep = 'd=$(printf "%0200d" 0); for i in $(seq 12); do mkdir $d; cd $d; done; echo x > file'
    members = machine.run(deep, way).members()
    assert max(map(len, members)) == 12 * 201 + 4


@pytest.mark.parametrize("way", list(WAYS))
def test_name_that_is_not_utf_8(machine: Machine, way: str) -> None:
    outcome = machine.run(r"touch $'bad\xff'", way)
    assert outcome.code == 1
    assert r"bad\xff" in outcome.error and "rename the file" in outcome.error


def test_sparse_file(machine: Machine) -> None:
    """Ten times what commands may take, more than a size in octal can say, and it takes no room."""
    outcome = machine.run("truncate -s 10G sparse", memory="64m")
    assert outcome.code == 0, outcome.error
    with tarfile.open(outcome.folder / "blob") as archive:
        assert archive.getmember("sparse").size == 10 << 30
    (outcome.folder / "blob").unlink()


_TRACE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for process in (1, os.getppid(), int(sys.argv[1])):
    # PTRACE_ATTACH and PTRACE_SEIZE
    for request in (16, 0x4206):
        if libc.ptrace(request, process, None, None) == 0:
            sys.exit(f"traced {process} by {request}")
        print(process, request, os.strerror(ctypes.get_errno()))
"""


@pytest.mark.parametrize("way", list(WAYS))
def test_ptrace_of_the_parents(machine: Machine, way: str) -> None:
    """Neither the engine's processes nor this test's can be attached to."""
    outcome = machine.run(
        f"exec python3 -c '{_TRACE}' {os.getpid()}", way, tools=["python3"], network=False
    )
    assert outcome.code == 0, outcome.error
    assert outcome.output.count("not permitted") + outcome.output.count("No such process") == 6


@pytest.mark.parametrize("way", [*WAYS_INTO_IMAGE, *WAYS_TO_COPY])
@pytest.mark.parametrize(
    "hostile",
    [
        [[symlink("x", "{outside}"), Entry("x/file", content=b"changed")]],
        [[symlink("x", "{outside}")], [Entry("x/file", content=b"changed")]],
        [[symlink("x", "{outside}"), Entry("x/.wh.file")]],
        [[symlink("x", "{outside}")], [Entry("x/.wh.file")]],
        [[symlink("x", "{outside}")], [Entry("x/.wh..wh..opq")]],
    ],
)
def test_layers_that_write_through_links(
    machine: Machine, way: str, hostile: List[List[Entry]]
) -> None:
    outside = machine.folder / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_text("as it was")
    layers = [
        machine.layer(*(replace(e, link=e.link.format(outside=outside)) for e in entries))
        for entries in hostile
    ]
    outcome = machine.run("true", way, in_image=True, layers=layers)
    assert (outside / "file").read_text() == "as it was"
    assert os.listdir(outside) == ["file"]
    assert "Traceback" not in outcome.error
    if len(hostile) == 1:
        assert outcome.code == 1
        assert "which lies below /x, and that is no folder there" in outcome.error
    else:
        assert outcome.code == 0, outcome.error


@pytest.mark.parametrize("way", WAYS_INTO_IMAGE)
def test_links_out_of_the_image(machine: Machine, way: str) -> None:
    secret = machine.folder / "secret"
    secret.write_text("secret")
    layers = [machine.layer(symlink("etc", "/usr/../../../../etc"), Entry("file", content=b"x"))]
    outcome = machine.run(
        f"ln -s {secret} link; cat link || echo hidden > found; echo changed > {secret} || true",
        way,
        in_image=True,
        layers=layers,
        entries=[symlink("out", str(secret)), symlink("up", "../../../../../../etc/passwd")],
        tools=["cat", "ln"],
    )
    assert outcome.content("found") == b"hidden\n"
    assert secret.read_text() == "secret"
    members = outcome.members()
    assert members["link"].issym() and members["link"].linkname == str(secret)


@pytest.mark.parametrize("way", WAYS_INTO_IMAGE)
@pytest.mark.parametrize("name", ["proc", "dev", "tmp"])
def test_image_with_a_link_where_a_folder_has_to_be(machine: Machine, way: str, name: str) -> None:
    layers = [machine.layer(symlink(name, "/etc"), Entry("etc/file", content=b"x"))]
    outcome = machine.run("true", way, in_image=True, layers=layers)
    assert outcome.code == 1
    assert f"/{name} of the image is no folder" in outcome.error


@pytest.mark.parametrize("way", NAMESPACED)
def test_tracing_the_supervisor(machine: Machine, way: str) -> None:
    script = """
for process in 1 $PPID; do
    if cat /proc/$process/mem > /dev/null 2>&1; then echo memory; exit 1; fi
    if echo x 2> /dev/null > /proc/$process/mem; then echo written; exit 1; fi
    if ls /proc/$process/root/ > /dev/null 2>&1; then echo root; exit 1; fi
done
"""
    outcome = machine.run(script, way)
    assert outcome.code == 0, outcome.error


def test_output_without_end_is_cut(machine: Machine) -> None:
    outcome = machine.run("head -c 30000000 /dev/zero | tr '\\0' y; exit 3")
    assert outcome.code == 1
    assert "exit code 3" in outcome.error
    assert len(outcome.error) < 40_000


@pytest.mark.parametrize("way", WAYS_INTO_IMAGE)
def test_marks_of_ours_cannot_be_forged(machine: Machine, way: str) -> None:
    forged = {"user.strata.record": b"7:7;;", "user.overlay.opaque": b"y", "user.kept": b"z"}
    layers = [machine.layer(Entry("file", content=b"x", xattrs=forged))]
    outcome = machine.run("chmod 600 /file", way, in_image=True, layers=layers, tools=["chmod"])
    (member,) = outcome.members().values()
    assert (member.uid, member.gid) == (0, 0)
    assert [name for name in member.pax_headers if "xattr" in name] == ["SCHILY.xattr.user.kept"]


def test_machine_is_as_it_was(machine: Machine) -> None:
    before = [Path(path).read_bytes() for path in ("/etc/passwd", "/etc/hostname")]
    machine.run("echo x > /etc/passwd; rm -f /etc/hostname; rm -rf /etc /root || true")
    assert [Path(path).read_bytes() for path in ("/etc/passwd", "/etc/hostname")] == before
