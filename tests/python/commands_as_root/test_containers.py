"""In a container of a Docker engine, with what that allows by itself, and with more."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import Iterator, List, Tuple

import pytest

from commands_as_root.machine import PYTHON, USER, Machine, Outcome, need
from commands_as_root.test_same_bytes import IN_IMAGE, IN_TREE, LOWER, TOOLS, TREE
from end_to_end.runtimes import Docker, run

_IMAGE = "strata-machine"


class Containers:
    """Containers that show this machine's programs, and nothing else of it."""

    def __init__(self, machine: Machine, docker: Docker) -> None:
        self._machine = machine
        self._client = docker.client
        archive = machine.folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            for name in ("bin", "sbin", "lib", "lib64"):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
                tar.addfile(link)
            for name in ("usr", "tmp", "etc"):
                folder = tarfile.TarInfo(name)
                folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
                tar.addfile(folder)
        run(*self._client, "import", str(archive), _IMAGE)

    def run(self, script: str, *options: str, user: int = 0, **changes: object) -> Outcome:
        way = "user without namespaces" if user else "full map"
        _, folder, environment = self._machine.prepare(script, way, **changes)  # type: ignore[arg-type]
        del environment["STRATA_ISOLATION"]
        shared = [
            f"--volume={self._machine.folder}:{self._machine.folder}",
            "--volume=/usr:/usr:ro",
        ]
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        arguments = ["--rm", "--network=none", f"--user={user}:{user}", f"--workdir={folder}"]
        command = [*shared, *variables, *arguments, *options, _IMAGE, PYTHON, "-m", "strata"]
        process = subprocess.run(
            [*self._client, "run", *command, "run-commands", "spec.json"],
            capture_output=True,
            check=False,
        )
        output, error = process.stdout.decode(), process.stderr.decode()
        return Outcome(process.returncode, output, error, folder)


@pytest.fixture(scope="module")
def containers(machine: Machine) -> Iterator[Containers]:
    for program in ("docker", "dockerd"):
        need(program)
    folder = machine.folder / "docker"
    folder.mkdir()
    docker = Docker(folder)
    try:
        yield Containers(machine, docker)
    finally:
        docker.stop()
        shutil.rmtree(folder, ignore_errors=True)


#: Who runs the engine, and with which options of ``docker run``: those with a root folder of
#: their own to give, and those without.
ROOTS: List[Tuple[int, List[str]]] = [
    (0, []),
    (0, ["--cap-drop=SETFCAP", "--cap-drop=CHOWN"]),
    (0, ["--cap-drop=ALL", "--cap-add=SYS_CHROOT", "--cap-add=MKNOD"]),
    (0, ["--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined"]),
]
USERS: List[Tuple[int, List[str]]] = [
    (USER, []),
    (USER, ["--security-opt=no-new-privileges"]),
    (0, ["--cap-drop=ALL"]),
    (0, ["--cap-drop=MKNOD"]),
]


@pytest.mark.parametrize(("user", "options"), [*ROOTS, *USERS])
def test_same_bytes_in_the_tree(
    machine: Machine, containers: Containers, user: int, options: List[str]
) -> None:
    expected = machine.run(IN_TREE, entries=TREE)
    found = containers.run(IN_TREE, *options, user=user, entries=TREE)
    assert found.blob == expected.blob


@pytest.mark.parametrize(("user", "options"), ROOTS)
def test_same_bytes_in_the_image(
    machine: Machine, containers: Containers, user: int, options: List[str]
) -> None:
    layers = [machine.layer(*LOWER)]
    arguments = {"in_image": True, "layers": layers, "entries": TREE, "tools": TOOLS}
    expected = machine.run(IN_IMAGE, **arguments)
    found = containers.run(IN_IMAGE, *options, user=user, **arguments)
    assert found.blob == expected.blob


@pytest.mark.parametrize(("user", "options"), USERS)
def test_what_is_not_possible_is_said_with_the_way_out(
    machine: Machine, containers: Containers, user: int, options: List[str]
) -> None:
    layers = [machine.layer(*LOWER)]
    arguments = {"in_image": True, "layers": layers, "tools": TOOLS, "user": user}
    refused = containers.run("true", *options, **arguments)
    assert refused.code == 1
    assert "Traceback" not in refused.error
    assert "this machine cannot run the commands" in refused.error
    assert "unshare: Operation not permitted" in refused.error
    remedy = "docker run --security-opt seccomp=unconfined"
    assert remedy in refused.error
    # And it is one.
    given = remedy.split()[2:]
    expected = machine.run(IN_IMAGE, in_image=True, layers=layers, tools=TOOLS)
    found = containers.run(IN_IMAGE, *given, **arguments)
    assert found.blob == expected.blob
