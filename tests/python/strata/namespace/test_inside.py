"""Paths of an image never lead out of its root folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from strata.errors import StrataError
from strata.namespace.inside import inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "absolute").symlink_to("/usr")
    (root / "up").symlink_to("../../../../etc")
    (root / "usr/chain").symlink_to("/lib/x")
    (root / "self").symlink_to("self")
    return root


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ""),
        ("usr/lib", "usr/lib"),
        ("//usr/./lib/", "usr/lib"),
        ("lib/file", "usr/lib/file"),
        ("absolute/lib", "usr/lib"),
        ("up/passwd", "etc/passwd"),
        ("../../etc", "etc"),
        ("usr/lib/../../../..", ""),
        ("usr/chain/y", "usr/lib/x/y"),
        ("missing/file", "missing/file"),
    ],
)
def test_where_it_leads(root: Path, path: str, expected: str) -> None:
    assert inside(root, path) == root / expected


def test_link_to_itself(root: Path) -> None:
    with pytest.raises(StrataError, match="self/x of the image is a link to itself"):
        inside(root, "self/x")
