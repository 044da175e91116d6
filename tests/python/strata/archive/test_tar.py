"""Tar framing: bytes, and what real readers make of them."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType, FileRange, checked_path, directory, symlink
from strata.archive.tar import BLOCK, encode_header, padding
from strata.archive.writer import ordered, write_layer
from strata.errors import StrataError


def test_header_of_a_plain_file_byte_for_byte() -> None:
    header = encode_header(Entry("a/b", mode=0o4755, uid=7, gid=8, content=b"xyz"), mtime=1)
    expected = (
        b"a/b".ljust(100, b"\0")
        + b"0004755\0"
        + b"0000007\0"
        + b"0000010\0"
        + b"00000000003\0"
        + b"00000000001\0"
        + b"        "
        + b"0"
        + bytes(100)
        + b"ustar\x0000"
        + bytes(64)
        + b"0000000\x000000000\0"
        + bytes(167)
    )
    checksum = sum(expected)
    expected = expected[:148] + b"%06o\0 " % checksum + expected[156:]
    assert header == expected
    assert len(header) == BLOCK


def members(*entries: Entry, mtime: int = 1) -> "list[tarfile.TarInfo]":
    data = b"".join(
        encode_header(entry, mtime) + entry.read() + bytes(padding(entry.size)) for entry in entries
    )
    return tarfile.open(fileobj=io.BytesIO(data + bytes(1024))).getmembers()


@pytest.mark.parametrize(
    ("entry", "records"),
    [
        (Entry("a" * 100), set()),
        (Entry("d" * 150 + "/" + "f" * 100), set()),
        (Entry("d" * 156 + "/" + "f" * 100), {"path"}),
        (Entry("a" * 101), {"path"}),
        (Entry("é"), {"path"}),
        (directory("d" * 99), set()),
        (directory("d" * 100), {"path"}),
        (symlink("l", "t" * 100), set()),
        (symlink("l", "t" * 101), {"linkpath"}),
        (symlink("l", "ü"), {"linkpath"}),
        (Entry("f", uid=0o7777777, gid=0o7777777), set()),
        (Entry("f", uid=0o10000000), {"uid"}),
        (Entry("f", gid=4294967294), {"gid"}),
        (
            Entry("f", xattrs={"security.capability": b"\1\0=\n\xff"}),
            {"SCHILY.xattr.security.capability"},
        ),
        (Entry("f", uname="u" * 31, gname="g" * 31), set()),
        (Entry("f", uname="u" * 32), {"uname"}),
        (Entry("f", gname="grüppe"), {"gname"}),
    ],
)
def test_pax_records_only_where_ustar_cannot_hold_a_value(entry: Entry, records: set) -> None:
    (member,) = members(entry)
    assert set(member.pax_headers) == records
    assert (member.name, member.uid, member.gid) == (entry.path, entry.uid, entry.gid)
    assert member.linkname == entry.link
    assert (member.uname, member.gname) == (entry.uname, entry.gname)


def test_large_sizes_and_odd_times_are_pax_records() -> None:
    entry = Entry("big", content=FileRange("nowhere", 1 << 33))
    header = encode_header(entry, mtime=-1)
    assert b"19 size=8589934592\n" in header
    assert b"12 mtime=-1\n" in header


@pytest.mark.parametrize("name", ["", "/a", "a/../b", "..", "a//b", "a/", "./a", "a\0b", "\udcff"])
def test_names_that_cannot_be_stored(name: str) -> None:
    with pytest.raises(StrataError, match="^debian:x: "):
        checked_path(name, "debian:x")


def test_parts_of_more_than_255_bytes_cannot_be_stored() -> None:
    assert checked_path("é" * 127, "x")
    with pytest.raises(StrataError, match="more than 255 bytes"):
        checked_path("é" * 128, "x")


def test_order_parents_first_by_bytes_and_parents_are_made() -> None:
    entries = [Entry("a/x"), Entry("a-b"), Entry("é/f"), Entry("z"), directory("a", 0o700)]
    result = ordered(entries)
    assert [e.path for e in result] == ["a", "a-b", "a/x", "z", "é", "é/f"]
    modes = {e.path: e.mode for e in result if e.is_directory}
    assert modes == {"a": 0o700, "é": 0o755}


def test_a_path_cannot_occur_twice() -> None:
    with pytest.raises(StrataError, match="'a' occurs twice"):
        ordered([Entry("a"), Entry("a")])


def random_entries(seed: int) -> "list[Entry]":
    source = random.Random(seed)
    alphabet = "abc-_.é漢 "
    entries: "dict[str, Entry]" = {}
    for _ in range(60):
        parts = [
            "".join(source.choices(alphabet, k=source.choice((1, 5, 40, 80)))).strip(". ") or "x"
            for _ in range(source.randrange(1, 5))
        ]
        path = "/".join(parts)
        if any(path == p or path.startswith(p + "/") or p.startswith(path + "/") for p in entries):
            continue
        kind = source.choice(list(EntryType))
        if kind is EntryType.HARDLINK:
            kind = EntryType.FILE
        entries[path] = Entry(
            path,
            kind,
            source.randrange(0o10000),
            source.choice((0, 1000, 1 << 22)),
            source.choice((0, 50, 1 << 22)),
            source.randbytes(source.randrange(2000)) if kind is EntryType.FILE else b"",
            "".join(source.choices(alphabet, k=source.choice((3, 120))))
            if kind is EntryType.SYMLINK
            else "",
            {},
            (8, 1) if kind in (EntryType.CHARACTER_DEVICE, EntryType.BLOCK_DEVICE) else None,
        )
    return list(entries.values())


@pytest.mark.parametrize("seed", range(8))
def test_random_trees_are_read_back_by_two_readers(seed: int, tmp_path: Path) -> None:
    entries = random_entries(seed)
    path = tmp_path / "blob"
    write_layer(entries, path, Compression.NONE, mtime=1)
    with tarfile.open(path) as archive:
        found = {member.name: member for member in archive}
        for entry in entries:
            member = found[entry.path]
            assert member.type == entry.type.value.encode()
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert (member.mtime, member.linkname) == (1, entry.link)
            if entry.type is EntryType.FILE:
                content = archive.extractfile(member)
                assert content is not None and content.read() == entry.content
        assert list(found) == sorted(found, key=lambda name: name.encode())
    listed = subprocess.run(
        ["tar", "--quoting-style=literal", "-tf", str(path)], capture_output=True, check=True
    ).stdout.decode()
    assert [line.rstrip("/") for line in listed.splitlines()] == list(found)
