"""Entries say how large they are and give their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from strata.archive.entry import Entry, EntryType, FileRange, checked_path, directory, symlink
from strata.errors import StrataError


def test_only_files_have_a_size() -> None:
    assert Entry("a", content=b"xyz").size == 3
    assert Entry("a", content=FileRange("nowhere", 1 << 40)).size == 1 << 40
    for kind in EntryType:
        if kind is not EntryType.FILE:
            assert Entry("a", kind, content=b"xyz").size == 0


def test_content_is_a_range_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    assert Entry("a", content=FileRange(tmp_path / "x", 3, 4)).read() == b"456"
    assert Entry("a", content=FileRange(str(tmp_path / "x"), 10)).read() == b"0123456789"
    assert Entry("a", content=b"xyz").read() == b"xyz"


def test_shorthands() -> None:
    assert directory("d") == Entry("d", EntryType.DIRECTORY, 0o755)
    assert directory("d", 0o1777).mode == 0o1777
    assert symlink("l", "../x") == Entry("l", EntryType.SYMLINK, 0o777, link="../x")


def test_another_owner_changes_nothing_else() -> None:
    entry = Entry("a", mode=0o4755, content=b"x", xattrs={"user.x": b"1"})
    owned = entry.owned_by(1000, 50)
    assert (owned.uid, owned.gid) == (1000, 50)
    assert owned.owned_by(0, 0) == entry


@pytest.mark.parametrize(
    "path", ["a", "a/b", "...", "a/..b", ".hidden/x", "a b", "é/漢", "-", "a\nb", "a\\b", "x" * 255]
)
def test_paths_that_can_be_stored(path: str) -> None:
    assert checked_path(path, "x") == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "must be relative"),
        ("/etc/passwd", "must be relative"),
        ("a/", "must be relative"),
        ("a//b", "must be relative"),
        ("./a", "must be relative"),
        ("a/./b", "must be relative"),
        ("../a", "must be relative"),
        ("a/../../b", "must be relative"),
        ("a\0b", "NUL"),
        ("a/\udcff\udcfe", r"b'a/\xff\xfe' is not valid UTF-8"),
        ("a/" + "é" * 128 + "/b", "more than 255 bytes"),
    ],
)
def test_paths_that_cannot_be_stored(path: str, reason: str) -> None:
    with pytest.raises(StrataError) as caught:
        checked_path(path, "python:demo")
    message = str(caught.value)
    assert message.startswith("python:demo: ") and reason in message
