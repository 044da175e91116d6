"""What other tools have packed is read as what it is."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import List

import pytest

from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType, FileRange, directory, symlink
from strata.archive.reader import read_entries
from strata.archive.writer import write_layer
from strata.errors import StrataError


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    entries = [
        directory("d", 0o1777),
        Entry("d/file", mode=0o4755, uid=1 << 21, gid=7, content=b"content"),
        Entry("d/link", EntryType.HARDLINK, link="d/file"),
        Entry("d/null", EntryType.CHARACTER_DEVICE, 0o666, device=(1, 3)),
        Entry("d/pipe", EntryType.FIFO, 0o600),
        Entry("d/sda", EntryType.BLOCK_DEVICE, 0o660, device=(8, 0)),
        symlink("d/symlink", "../é" * 60),
        Entry("ping", xattrs={"security.capability": capability, "user.é": b"a=\n\0\xff"}),
        Entry("é" * 120 + "/" + "漢" * 80, content=b"x" * 1000),
    ]
    write_layer(entries, tmp_path / "blob", Compression.NONE, mtime=1)
    found = {entry.path: entry for entry in read_entries(tmp_path / "blob", "x")}
    for entry in entries:
        read = found[entry.path]
        assert (read.type, read.mode, read.uid, read.gid) == (
            entry.type,
            entry.mode if entry.type is not EntryType.HARDLINK else read.mode,
            entry.uid,
            entry.gid,
        )
        assert (read.link, read.device) == (entry.link, entry.device)
        assert dict(read.xattrs) == dict(entry.xattrs)
        assert read.read() == entry.read()
    # Written again, it gives the same bytes.
    write_layer(read_entries(tmp_path / "blob", "x"), tmp_path / "again", Compression.NONE, mtime=1)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "blob").read_bytes()


@pytest.mark.parametrize("layout", ["gnu", "pax", "ustar"])
def test_archives_of_gnu_tar(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "root"
    long = "d" * 90 + "/" + "f" * 90
    (root / long).parent.mkdir(parents=True)
    (root / long).write_text("long")
    (root / "zz").write_text("first in the archive, last by name")
    os.link(root / "zz", root / "aa")
    (root / "link").symlink_to("zz")
    command = ["tar", f"--format={layout}", "-C", str(root), "-cf", str(tmp_path / "x.tar")]
    subprocess.run([*command, ".", "--sort=name"], check=True)
    found = {entry.path: entry for entry in read_entries(tmp_path / "x.tar", "x")}
    assert set(found) == {"d" * 90, long, "aa", "zz", "link"}
    assert found[long].read() == b"long"
    assert found["link"].link == "zz"
    names = {found[name].type: name for name in ("aa", "zz")}
    assert found[names[EntryType.HARDLINK]].link == names[EntryType.FILE]


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "x.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for member in members:
            out.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in changes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("name", ["./a/b", "a/./b", "/a/b", "./a//b/"])
def test_names_are_made_plain(tmp_path: Path, name: str) -> None:
    (entry,) = read_entries(archive(tmp_path, member(name)), "x")
    assert entry.path == "a/b"


def test_hard_link_targets_are_made_plain(tmp_path: Path) -> None:
    link = member("./b", tarfile.LNKTYPE, linkname="./d//a")
    entries: List[Entry] = list(read_entries(archive(tmp_path, member("./d/a"), link), "x"))
    assert entries[1].link == "d/a"


@pytest.mark.parametrize("name", [".", "./", "/"])
def test_the_root_itself_is_no_entry(tmp_path: Path, name: str) -> None:
    assert list(read_entries(archive(tmp_path, member(name, tarfile.DIRTYPE)), "x")) == []


@pytest.mark.parametrize("name", ["../a", "a/../b", "..", "\udcff", "n" * 256])
def test_names_that_cannot_be_stored(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as out:
        out.addfile(member(name))
    with pytest.raises(StrataError, match="^debian:x: "):
        list(read_entries(path, "debian:x"))


def test_types_that_no_layer_has(tmp_path: Path) -> None:
    with pytest.raises(StrataError, match="x: /a has the unknown tar type b'V'"):
        list(read_entries(archive(tmp_path, member("a", b"V")), "x"))


def test_contents_are_ranges_of_the_archive(tmp_path: Path) -> None:
    path = archive(tmp_path, member("a", size=5), member("b", size=600))
    first, second = read_entries(path, "x")
    assert first.content == FileRange(path, 5, 512)
    assert second.content == FileRange(path, 600, 1536)
    assert second.read() == b"x" * 600
