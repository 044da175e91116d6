"""Paths below links to folders."""

from __future__ import annotations

import pytest

from strata.closure.links import led


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("bin", "bin"),
        ("bin/sh", "usr/bin/sh"),
        ("bin/a/b/c", "usr/bin/a/b/c"),
        ("var/run/x", "run/x"),
        ("root/x/y", "x/y"),
        ("binary/x", "binary/x"),
    ],
)
def test_where_paths_lead(path: str, where: str) -> None:
    assert led(path, {"bin": "usr/bin", "var/run": "run", "root": ""}) == where
