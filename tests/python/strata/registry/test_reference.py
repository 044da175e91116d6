"""Names of images in registries."""

from __future__ import annotations

import pytest

from strata.errors import StrataError
from strata.registry.reference import Reference, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("debian", Reference("docker.io", "library/debian")),
        ("debian:12", Reference("docker.io", "library/debian", "12")),
        ("org/app", Reference("docker.io", "org/app")),
        ("index.docker.io/org/app", Reference("docker.io", "org/app")),
        ("docker.io/debian", Reference("docker.io", "library/debian")),
        ("localhost/app", Reference("localhost", "app")),
        ("localhost:5000/a/b:v1", Reference("localhost:5000", "a/b", "v1")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a")),
        ("example.com/a__b/c-d.e", Reference("example.com", "a__b/c-d.e")),
        (f"example.com/a@{DIGEST}", Reference("example.com", "a", "", DIGEST)),
        (f"example.com/a:1@{DIGEST}", Reference("example.com", "a", "1", DIGEST)),
        ("example.com/a:" + "x" * 128, Reference("example.com", "a", "x" * 128)),
    ],
)
def test_names_are_taken_apart(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected
    assert parse_reference(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not the name of a repository"),
        ("Debian", "lower-case"),
        ("example.com/", "not the name of a repository"),
        ("example.com/a//b", "not the name of a repository"),
        ("example.com/a:", "no valid tag"),
        ("example.com/a:-x", "no valid tag"),
        ("example.com/a:" + "x" * 129, "no valid tag"),
        ("example.com/a@sha256:12", "no digest"),
        ("exa mple.com/a", "no host"),
        ("https://example.com/a", "no host of a registry"),
        ("example.com/" + "a" * 250, "at most 255"),
        ("example.com/../a", "not the name of a repository"),
    ],
)
def test_other_names_are_errors(text: str, complaint: str) -> None:
    with pytest.raises(StrataError, match=complaint):
        parse_reference(text)
