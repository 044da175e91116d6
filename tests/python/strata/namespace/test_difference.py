"""What turns one tree into another, as a layer's entries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Optional

import pytest

from strata.archive.entry import Entry, EntryType
from strata.errors import StrataError
from strata.namespace.difference import View, difference
from strata.namespace.records import Records


def own() -> Records:
    """What is this user's counts as root's."""
    return Records(own=(os.geteuid(), os.getegid()))


def write(root: Path, files: Dict[str, str]) -> Path:
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(0o644)
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    return root


def changed(tmp_path: Path, before: Optional[Dict[str, str]], after: Dict[str, str]) -> View:
    write(tmp_path / "before", before or {})
    return View(write(tmp_path / "after", after), own())


def entries(tmp_path: Path, after: View, before: bool = True) -> Dict[str, Entry]:
    held = View(tmp_path / "before", own()) if before else None
    return {entry.path: entry for entry in difference(after, held, after)}


def test_nothing_changed(tmp_path: Path) -> None:
    same = {"a/b": "1", "c": "2"}
    assert entries(tmp_path, changed(tmp_path, same, same)) == {}


def test_without_anything_before_all_is_new(tmp_path: Path) -> None:
    after = changed(tmp_path, None, {"a/b": "1"})
    assert list(entries(tmp_path, after, before=False)) == ["a", "a/b"]


def test_changed_file_brings_its_folders(tmp_path: Path) -> None:
    after = changed(tmp_path, {"a/b/c": "1", "a/d": "2"}, {"a/b/c": "x", "a/d": "2"})
    found = entries(tmp_path, after)
    assert list(found) == ["a", "a/b", "a/b/c"]
    assert found["a"] == Entry("a", EntryType.DIRECTORY, 0o755)


def test_equal_size_is_not_equal_content(tmp_path: Path) -> None:
    after = changed(tmp_path, {"a": "1234"}, {"a": "1243"})
    os.utime(tmp_path / "before/a", (1, 1))
    os.utime(tmp_path / "after/a", (1, 1))
    assert list(entries(tmp_path, after)) == ["a"]


def test_deleted_file(tmp_path: Path) -> None:
    found = entries(tmp_path, changed(tmp_path, {"a/b": "1", "a/c": "2"}, {"a/b": "1"}))
    assert list(found) == ["a", "a/.wh.c"]
    assert (found["a/.wh.c"].type, found["a/.wh.c"].size) == (EntryType.FILE, 0)


def test_deleted_folder_is_one_whiteout(tmp_path: Path) -> None:
    found = entries(tmp_path, changed(tmp_path, {"a/b/c": "1", "d": "2"}, {"d": "2"}))
    assert list(found) == [".wh.a"]


def test_emptied_folder_is_opaque(tmp_path: Path) -> None:
    after = changed(tmp_path, {"a/b": "1", "a/c/d": "2"}, {"a/new": "3"})
    assert list(entries(tmp_path, after)) == ["a", "a/.wh..wh..opq", "a/new"]


def test_emptied_image_is_not_opaque(tmp_path: Path) -> None:
    """The root folder is no entry of a layer, and cannot be marked."""
    found = entries(tmp_path, changed(tmp_path, {"a": "1", "b": "2"}, {}))
    assert list(found) == [".wh.a", ".wh.b"]


def test_folder_becomes_a_file_and_a_file_a_folder(tmp_path: Path) -> None:
    after = changed(tmp_path, {"a/b": "1", "c": "2"}, {"a": "x", "c/d": "y"})
    found = entries(tmp_path, after)
    assert list(found) == ["a", "c", "c/d"]
    assert (found["a"].type, found["c"].type) == (EntryType.FILE, EntryType.DIRECTORY)


def test_modes_of_files_and_folders_count(tmp_path: Path) -> None:
    same = {"a/b": "1", "c": "2"}
    after = changed(tmp_path, same, same)
    (tmp_path / "after/a").chmod(0o1777)
    (tmp_path / "after/c").chmod(0o4755)
    found = entries(tmp_path, after)
    assert {path: entry.mode for path, entry in found.items()} == {"a": 0o1777, "c": 0o4755}


def test_links_are_compared_by_their_text(tmp_path: Path) -> None:
    after = changed(tmp_path, {"a": "1"}, {"a": "1"})
    for folder, target in (("before", "a"), ("after", "b")):
        (tmp_path / folder / "same").symlink_to("a")
        (tmp_path / folder / "other").symlink_to(target)
    found = entries(tmp_path, after)
    assert {path: entry.link for path, entry in found.items()} == {"other": "b"}


def test_names_of_one_file_stay_together(tmp_path: Path) -> None:
    after = changed(tmp_path, {}, {"a/z": "1"})
    os.link(tmp_path / "after/a/z", tmp_path / "after/b")
    found = entries(tmp_path, after)
    assert found["b"].type is EntryType.HARDLINK and found["b"].link == "a/z"


def test_socket_is_left_out(tmp_path: Path) -> None:
    import socket

    after = changed(tmp_path, {}, {"a": "1"})
    here = os.getcwd()
    os.chdir(tmp_path / "after")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s")
            assert list(entries(tmp_path, after)) == ["a"]
    finally:
        os.chdir(here)


def test_name_that_is_not_utf_8(tmp_path: Path) -> None:
    after = changed(tmp_path, {}, {"a": "1"})
    (Path(os.fsdecode(os.fsencode(tmp_path / "after") + b"/bad\xff"))).touch()
    with pytest.raises(StrataError, match="rename the file"):
        entries(tmp_path, after)
