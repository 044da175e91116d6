"""Layers are unpacked once, whoever else is at it, and whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import pytest

from commands_as_root.machine import WAYS, WAYS_INTO_IMAGE, WAYS_TO_COPY, Machine
from strata.archive.entry import Entry, EntryType

_COUNT = "test $(find /data -type f | wc -l) -eq {count}; test $(cat /data/0) = 0"
_TOOLS = ["cat", "find", "wc"]


def files(count: int, size: int = 0) -> List[Entry]:
    return [
        Entry(f"data/{n}", content=f"{n}\n".encode() + bytes(size), mode=0o600 + n % 64)
        for n in range(count)
    ]


@pytest.mark.parametrize("way", ["full map", "single id", "full map, no overlays"])
def test_many_at_once(machine: Machine, way: str) -> None:
    layers = [machine.layer(*files(3000)), machine.layer(Entry("other", content=way.encode()))]
    cache = machine.folder / f"cache-at-once-{way}"
    cache.mkdir()
    cache.chmod(0o777)
    started = []
    for _ in range(6):
        script = _COUNT.format(count=3000)
        command, folder, environment = machine.prepare(
            script, way, in_image=True, layers=layers, tools=_TOOLS, cache=str(cache)
        )
        started.append(
            subprocess.Popen(
                command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
            )
        )
    for process in started:
        assert process.stderr is not None
        error = process.stderr.read()
        assert process.wait() == 0, error
    names = [path.name for path in cache.glob("*/*") if path.is_dir()]
    assert len(names) == (1 if "no overlays" in way else 2)
    assert not list(cache.glob("*/*.partial"))


@pytest.mark.parametrize("way", ["full map", "subordinate ids", "single id"])
def test_killed_half_way(machine: Machine, way: str) -> None:
    layers = [machine.layer(*files(8_000), Entry("mine", content=way.encode(), uid=33))]
    script = _COUNT.format(count=8_000)
    options = {"in_image": True, "layers": layers, "tools": _TOOLS}
    command, folder, environment = machine.prepare(script, way, **options)
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    cache = machine.cache(way)
    deadline = time.monotonic() + 300
    while not list(cache.glob("*/*.partial/data/100")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert list(cache.glob("*/*.partial"))
    outcome = machine.run(script, way, **options)
    assert outcome.code == 0, outcome.error
    assert not list(cache.glob("*/*.partial"))


@contextmanager
def disk(machine: Machine, megabytes: int) -> Iterator[Path]:
    folder = machine.folder / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=777"]
    subprocess.run(["mount", *options, "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


@pytest.mark.parametrize("way", [*WAYS_INTO_IMAGE, *WAYS_TO_COPY])
def test_full_disk(machine: Machine, way: str) -> None:
    layers = [machine.layer(*files(40, size=1 << 20))]
    script = _COUNT.format(count=40)
    options = {"in_image": True, "layers": layers, "tools": _TOOLS}
    with disk(machine, 60) as folder:
        # The tar of the layer fits in, and its files beside it do not.
        outcome = machine.run(script, way, cache=str(folder), **options)
        assert outcome.code == 1
        assert f"no room to unpack layers in {folder}" in outcome.error
        assert "check-namespaces --clear-layers" in outcome.error
        left = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
        assert left == []
        # With room there is nothing that stands in the way.
        subprocess.run(["mount", "-o", "remount,size=200m", str(folder)], check=True)
        outcome = machine.run(script, way, cache=str(folder), **options)
        assert outcome.code == 0, outcome.error


def contents(folder: Path) -> Dict[str, Tuple[int, int, int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        text = ""
        if path.is_file() and not path.is_symlink():
            text = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, text)
    return found


@pytest.mark.parametrize("way", [*WAYS_INTO_IMAGE, *WAYS_TO_COPY])
def test_unpacked_files_stay_as_they_were(machine: Machine, way: str) -> None:
    layers = [machine.layer(*files(50, size=5000), Entry("etc/x", content=way.encode()))]
    cache = machine.folder / f"cache-kept-{way}"
    cache.mkdir()
    cache.chmod(0o777)
    options = {"in_image": True, "layers": layers, "cache": str(cache)}
    tools = ["chmod", "chown", "rm", "touch"]
    assert machine.run("true", way, **options).code == 0
    before = contents(cache)
    script = """
for file in /data/*; do echo changed > $file; done
chmod -R 777 /data /etc; chown -R 5:5 /data /etc; touch /etc/x
rm -rf /data /etc
"""
    outcome = machine.run(script, way, tools=tools, **options)
    assert {".wh.data", ".wh.etc"} == set(outcome.members())
    assert contents(cache) == before


@pytest.mark.parametrize("way", [way for way in WAYS if way != "user without namespaces"])
def test_layers_can_be_cleared(machine: Machine, way: str) -> None:
    """Also those whose files belong to others: nobody but a namespace may remove them."""
    owned = Entry("srv/private/file", content=way.encode(), uid=33, gid=33)
    folder = Entry("srv/private", type=EntryType.DIRECTORY, mode=0o700, uid=33, gid=33)
    cache = machine.folder / f"cache-cleared-{way}"
    cache.mkdir()
    cache.chmod(0o777)
    options = {"in_image": True, "layers": [machine.layer(folder, owned)], "cache": str(cache)}
    outcome = machine.run("true", way, **options)
    assert outcome.code == 0, outcome.error
    assert list(cache.glob("*/*/srv/private"))
    (outcome.folder / "clear.json").write_text(json.dumps({"cache": str(cache)}))
    command, environment = machine.program(way, "clear-layers", "clear.json")
    subprocess.run(command, cwd=outcome.folder, env=environment, check=True)
    assert os.listdir(cache) == []
    assert machine.run("true", way, **options).code == 0
