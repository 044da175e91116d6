"""A cache server in trouble costs time, never a wrong image."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from end_to_end.pants_checkout import PantsCheckout, PantsResult, sha256
from end_to_end.remote_servers import Storage, cache_options
from end_to_end.runtimes import free_port

_BUILD = """
file(name="one", source="one.txt")
file(name="two", source="two.txt")

layered_image(name="image", contents=[":one", ":two"], compression="none", max_layers=10)
"""
_SIZE = 3_000_000


def machine(folder: Path) -> PantsCheckout:
    """A checkout of its own with empty caches, and an image that is built in seconds."""
    checkout = PantsCheckout(folder / "checkout", folder / "caches")
    checkout.write("small/BUILD", _BUILD)
    checkout.write("small/one.txt", "1" * _SIZE)
    checkout.write("small/two.txt", "2" * _SIZE)
    return checkout


def package(checkout: PantsCheckout, port: int, *options: str) -> PantsResult:
    return checkout.run("package", "small:image", *cache_options(port), *options)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The archive's hash when nobody shares anything."""
    alone = machine(tmp_path_factory.mktemp("alone"))
    built = alone.run("package", "small:image")
    assert len(built.layer_processes) == 3
    return sha256(alone.archive("small/image"))


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    started = Storage(tmp_path / "storage")
    yield started
    started.kill()


def objects(storage: Storage) -> List[Path]:
    found = [p for p in (storage.folder / "cas/cas/objects").rglob("*") if p.is_file()]
    assert found
    return found


def test_an_unreachable_server(expected: str, tmp_path: Path) -> None:
    alone = machine(tmp_path / "alone")
    done = package(alone, free_port())
    assert "Failed to read from remote cache" in done.output
    assert sha256(alone.archive("small/image")) == expected


def test_a_server_whose_blobs_are_damaged(expected: str, storage: Storage, tmp_path: Path) -> None:
    package(machine(tmp_path / "one"), storage.port)
    damaged = 0
    for path in objects(storage):
        content = bytearray(path.read_bytes())
        # Archives and layers; each keeps its name and its size.
        if len(content) > _SIZE:
            content[len(content) // 2] ^= 0xFF
            path.chmod(0o644)
            path.write_bytes(bytes(content))
            damaged += 1
    assert damaged >= 3
    two = machine(tmp_path / "two")
    done = package(two, storage.port)
    assert len(done.layer_processes) == 2, "the customisation layer is small, and sound"
    assert sha256(two.archive("small/image")) == expected


def test_a_server_that_has_lost_blobs(expected: str, storage: Storage, tmp_path: Path) -> None:
    package(machine(tmp_path / "one"), storage.port)
    for path in objects(storage):
        if path.stat().st_size > _SIZE:
            path.unlink()
    two = machine(tmp_path / "two")
    package(two, storage.port)
    assert sha256(two.archive("small/image")) == expected


def test_a_server_whose_results_are_damaged(
    expected: str, storage: Storage, tmp_path: Path
) -> None:
    package(machine(tmp_path / "one"), storage.port)
    results = [p for p in (storage.folder / "cas/actioncache").rglob("*") if p.is_file()]
    assert results
    for path in results:
        path.chmod(0o644)
        path.write_bytes(b"\xff" * path.stat().st_size)
    two = machine(tmp_path / "two")
    done = package(two, storage.port)
    assert len(done.layer_processes) == 3
    assert sha256(two.archive("small/image")) == expected


def test_a_server_whose_results_have_no_outputs(storage: Storage, tmp_path: Path) -> None:
    package(machine(tmp_path / "one"), storage.port)
    for path in (storage.folder / "cas/actioncache").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            # A valid message: success, and nothing else.
            path.write_bytes(b"")
    two = machine(tmp_path / "two")
    failed = two.run("package", "small:image", *cache_options(storage.port), check=False)
    assert failed.exit_code != 0
    assert "small:image: a cache or execution server answered without the outputs" in failed.output


def test_a_server_that_is_full(expected: str, tmp_path: Path) -> None:
    small = Storage(tmp_path / "small", "--quota-high=1M", "--reserved=0")
    try:
        one = machine(tmp_path / "one")
        package(one, small.port)
        assert sha256(one.archive("small/image")) == expected
        two = machine(tmp_path / "two")
        package(two, small.port)
        assert sha256(two.archive("small/image")) == expected
    finally:
        small.kill()


class SlowLine:
    """Passes bytes on, few at a time and each time ``pause`` seconds late."""

    def __init__(self, target: int, pause: float) -> None:
        self._target = target
        self._pause = pause
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                time.sleep(self._pause)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            end.close()

    def close(self) -> None:
        self._listener.close()


def test_a_server_at_the_end_of_a_slow_line(
    expected: str, storage: Storage, tmp_path: Path
) -> None:
    line = SlowLine(storage.port, pause=0.01)
    try:
        package(machine(tmp_path / "one"), line.port)
        two = machine(tmp_path / "two")
        done = package(two, line.port)
        assert done.layer_processes == [], "an answer within a second is waited for"
        assert sha256(two.archive("small/image")) == expected
    finally:
        line.close()


def test_a_server_that_is_slower_than_building(
    expected: str, storage: Storage, tmp_path: Path
) -> None:
    package(machine(tmp_path / "one"), storage.port)
    line = SlowLine(storage.port, pause=2)
    try:
        two = machine(tmp_path / "two")
        done = package(two, line.port)
        assert len(done.layer_processes) == 3
        assert sha256(two.archive("small/image")) == expected
    finally:
        line.close()
