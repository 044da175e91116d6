"""GNU tar lists and unpacks what we write."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path
from typing import Dict, List

import pytest

from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType, FileRange, directory, symlink
from strata.archive.writer import write_layer

ENTRIES = [
    Entry("bin/setuid", mode=0o4755, uid=0, gid=42, content=b"x" * 700),
    Entry("bin/same", EntryType.HARDLINK, 0o4755, 0, 42, link="bin/setuid"),
    Entry("dev/null", EntryType.CHARACTER_DEVICE, 0o666, device=(1, 3)),
    Entry("dev/sda", EntryType.BLOCK_DEVICE, 0o660, gid=6, device=(8, 0)),
    Entry("run/pipe", EntryType.FIFO, 0o600),
    directory("tmp", 0o1777),
    directory("var/mail", 0o2775),
    symlink("lib", "usr/lib"),
    Entry("large-ids", uid=4294967294, gid=2097152),
    Entry("é" * 60 + "/" + "漢" * 60, content=b"unicode"),
    Entry("d" * 120 + "/" + "f" * 120, content=b"long"),
]


def packed(folder: Path, entries: List[Entry], mtime: int = 1) -> Path:
    write_layer(entries, folder / "layer.tar", Compression.NONE, mtime)
    return folder / "layer.tar"


def tar(*arguments: str) -> str:
    process = subprocess.run(
        ["tar", "--quoting-style=literal", *arguments],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        check=True,
    )
    # A lone block of zeroes, unknown keywords and the like are warnings, and there are none.
    assert process.stderr == b""
    return process.stdout.decode()


def listing(path: Path) -> Dict[str, "tuple[str, ...]"]:
    """Mode, owner, size and time of each member, by what stands behind them."""
    rows: "Dict[str, tuple[str, ...]]" = {}
    text = tar("--numeric-owner", "--full-time", "-tvf", str(path))
    for line in text.splitlines():
        mode, owner, size, day, time, name = re.split(r" +", line, maxsplit=5)
        rows[name] = (mode, owner, size, f"{day} {time}")
    return rows


def test_every_type_is_listed_with_its_mode_and_owner(tmp_path: Path) -> None:
    found = listing(packed(tmp_path, ENTRIES))
    shown = {name: row[:3] for name, row in found.items()}
    assert shown == {
        "bin/": ("drwxr-xr-x", "0/0", "0"),
        # A hard link comes before its target here, and tar does not mind listing it.
        "bin/same link to bin/setuid": ("hrwsr-xr-x", "0/42", "0"),
        "bin/setuid": ("-rwsr-xr-x", "0/42", "700"),
        "d" * 120 + "/": ("drwxr-xr-x", "0/0", "0"),
        "d" * 120 + "/" + "f" * 120: ("-rw-r--r--", "0/0", "4"),
        "dev/": ("drwxr-xr-x", "0/0", "0"),
        "dev/null": ("crw-rw-rw-", "0/0", "1,3"),
        "dev/sda": ("brw-rw----", "0/6", "8,0"),
        "large-ids": ("-rw-r--r--", "4294967294/2097152", "0"),
        "lib -> usr/lib": ("lrwxrwxrwx", "0/0", "0"),
        "run/": ("drwxr-xr-x", "0/0", "0"),
        "run/pipe": ("prw-------", "0/0", "0"),
        "tmp/": ("drwxrwxrwt", "0/0", "0"),
        "var/": ("drwxr-xr-x", "0/0", "0"),
        "var/mail/": ("drwxrwsr-x", "0/0", "0"),
        "é" * 60 + "/": ("drwxr-xr-x", "0/0", "0"),
        "é" * 60 + "/" + "漢" * 60: ("-rw-r--r--", "0/0", "7"),
    }
    assert {row[3] for row in found.values()} == {"1970-01-01 00:00:01"}


@pytest.mark.parametrize(
    ("mtime", "shown"),
    [
        (0, "1970-01-01 00:00:00"),
        (-1, "1969-12-31 23:59:59"),
        (0o77777777777, "2242-03-16 12:56:31"),
        (0o77777777777 + 1, "2242-03-16 12:56:32"),
        (253402300799, "9999-12-31 23:59:59"),
    ],
)
def test_all_times_are_the_layers(tmp_path: Path, mtime: int, shown: str) -> None:
    found = listing(packed(tmp_path, ENTRIES, mtime))
    assert {row[3] for row in found.values()} == {shown}


def test_attributes_are_listed(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    entries = [
        Entry("ping", content=b"x", xattrs={"security.capability": capability, "user.a": b"1"}),
        Entry("plain"),
    ]
    path = packed(tmp_path, entries)
    lines = tar("--xattrs", "--xattrs-include=*", "-tvvf", str(path)).splitlines()
    assert [line.split() for line in lines if line.startswith(" ")] == [
        ["x:", "20", "security.capability"],
        ["x:", "1", "user.a"],
    ]
    # The mark behind the mode says that there are attributes.
    assert lines[0].startswith("-rw-r--r--*") and lines[-1].startswith("-rw-r--r-- ")


def test_an_archive_unpacks_to_what_it_was_made_of(tmp_path: Path) -> None:
    source = random.Random(11)
    entries = [Entry("a/first", mode=0o750, content=source.randbytes(100_000))]
    entries += [Entry(f"a/{i}", content=source.randbytes(i * 97)) for i in range(40)]
    entries.append(Entry("a/link", EntryType.HARDLINK, link="a/first"))
    entries.append(symlink("b/l", "../a/first"))
    entries.append(Entry("é" * 100, content=b"unicode"))
    root = tmp_path / "root"
    root.mkdir()
    arguments = ["-C", str(root), "--no-same-owner", "-xpf", str(packed(tmp_path, entries, 7))]
    tar(*arguments)
    for entry in entries:
        path = root / entry.path
        if entry.type is EntryType.FILE:
            assert path.read_bytes() == entry.read()
            assert path.stat().st_mode & 0o7777 == entry.mode
            assert path.stat().st_mtime == 7
    assert os.path.samefile(root / "a/first", root / "a/link")
    assert os.readlink(root / "b/l") == "../a/first"


def test_file_of_more_than_8_gib(tmp_path: Path) -> None:
    size = (8 << 30) + 5
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(size)
    # It compresses to next to nothing.
    path = tmp_path / "layer.tar.gz"
    entries = [Entry("big", content=FileRange(tmp_path / "sparse", size)), Entry("next")]
    blob = write_layer(entries, path, Compression.GZIP, 1)
    assert blob.uncompressed_size > size
    found = listing(path)
    assert found["big"][2] == str(size)
    assert found["next"][2] == "0"
