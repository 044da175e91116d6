"""Layers applied to each other, by the rules of the OCI image specification."""

from __future__ import annotations

from typing import Dict, List

import pytest

from strata.archive.entry import Entry, EntryType, directory, symlink
from strata.archive.writer import relinked
from strata.commands.flatten import apply_layer


def applied(*layers: List[Entry]) -> Dict[str, Entry]:
    root: Dict[str, Entry] = {}
    for layer in layers:
        apply_layer(root, layer)
    return root


def file(path: str, text: str = "x") -> Entry:
    return Entry(path, content=text.encode())


LOWER = [directory("d"), file("d/a"), file("d/b"), directory("d/e"), file("d/e/f"), file("top")]


@pytest.mark.parametrize(
    ("upper", "expected"),
    [
        ([], "d d/a d/b d/e d/e/f top"),
        ([file("d/.wh.a")], "d d/b d/e d/e/f top"),
        ([file("d/.wh.e")], "d d/a d/b top"),
        ([file(".wh.d")], "top"),
        ([file(".wh.top"), file("top", "new")], "d d/a d/b d/e d/e/f top"),
        ([directory("d"), file("d/.wh..wh..opq"), file("d/n")], "d d/n top"),
        ([file("d/n"), file("d/.wh..wh..opq")], "d d/n top"),
        ([file("d", "a file now")], "d top"),
        ([symlink("d", "elsewhere")], "d top"),
        ([directory("d", 0o700)], "d d/a d/b d/e d/e/f top"),
        ([file("d/.wh.nothing")], "d d/a d/b d/e d/e/f top"),
    ],
)
def test_whiteouts_and_replacements(upper: List[Entry], expected: str) -> None:
    assert sorted(applied(LOWER, upper)) == expected.split()


def test_a_hard_link_outlives_its_target() -> None:
    link = Entry("z", EntryType.HARDLINK, link="a")
    other = Entry("y", EntryType.HARDLINK, link="a")
    root = applied([file("a", "content"), link, other], [file(".wh.a")])
    assert root["y"].read() == b"content"
    assert (root["z"].type, root["z"].link) == (EntryType.HARDLINK, "y")
    root = applied([file("a", "old"), link], [file("a", "new")])
    assert (root["a"].read(), root["z"].read()) == (b"new", b"old")


def link(path: str, target: str) -> Entry:
    return Entry(path, EntryType.HARDLINK, link=target)


@pytest.mark.parametrize(
    ("lower", "upper", "files"),
    [
        # The content passes on from name to name, whichever goes first.
        ([file("a"), link("y", "a"), link("z", "a")], [".wh.a", ".wh.y"], ["z"]),
        ([file("a"), link("y", "a"), link("z", "a")], [".wh.y", ".wh.a"], ["z"]),
        ([file("a"), link("y", "a"), link("z", "a")], [".wh.a", ".wh.y", ".wh.z"], []),
        (
            [directory("d"), file("d/a"), link("d/b", "d/a"), link("e", "d/a")],
            ["d/.wh..wh..opq"],
            ["d", "e"],
        ),
        ([directory("d"), file("d/a"), link("d/b", "d/a"), link("e", "d/a")], [".wh.d"], ["e"]),
        # A link that points at another link.
        ([file("a"), link("y", "a"), link("z", "y")], [".wh.y"], ["a", "z"]),
        ([file("a"), link("y", "a"), link("z", "y")], [".wh.a", ".wh.y"], ["z"]),
    ],
)
def test_hard_links_outlive_any_other_name(
    lower: List[Entry], upper: List[str], files: List[str]
) -> None:
    root = applied(lower, [file(path, "") for path in upper])
    assert sorted(root) == files
    for entry in relinked(root.values()):
        if not entry.is_directory:
            held = entry if entry.type is EntryType.FILE else root[entry.link]
            assert held.read() == b"x"


def test_hard_links_across_layers() -> None:
    root = applied([file("a", "old")], [link("b", "a")], [file("a", "new")], [file(".wh.b")])
    assert {path: entry.read() for path, entry in root.items()} == {"a": b"new"}
    root = applied([file("a", "old")], [link("b", "a")], [link("a", "b")])
    assert (root["a"].type, root["a"].link) == (EntryType.HARDLINK, "b")
    assert root["b"].read() == b"old"
