"""Platforms have one meaning, whatever they are called."""

from __future__ import annotations

from typing import Any, Dict, Optional

import pytest

from strata.errors import StrataError
from strata.platforms import (
    Platform,
    best_matches,
    debian_architecture,
    debian_platform,
    parse_platform,
)


@pytest.mark.parametrize("text", ["amd64", "arm64", "arm64/v8", "arm/v7", "386", "amd64/v3"])
def test_round_trip(text: str) -> None:
    assert str(parse_platform(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x86_64", "no architecture that images can have.*amd64"),
        ("", "no architecture"),
        ("linux/amd64", "no architecture"),
        ("arm/v9", r"arm has no variant 'v9' \(it has: v5, v6, v7, v8\)"),
        ("386/v1", r"386 has no variant 'v1' \(it has: none\)"),
        ("arm/", "arm has no variant ''"),
    ],
)
def test_bad_platforms(text: str, message: str) -> None:
    with pytest.raises(StrataError, match=message):
        parse_platform(text)


def test_as_images_have_it() -> None:
    assert parse_platform("arm64").to_json() == {"architecture": "arm64", "os": "linux"}
    assert parse_platform("arm/v7").to_json() == {
        "architecture": "arm",
        "os": "linux",
        "variant": "v7",
    }


@pytest.mark.parametrize(
    ("debian", "platform"),
    [("amd64", "amd64"), ("armhf", "arm/v7"), ("armel", "arm/v5"), ("ppc64el", "ppc64le")],
)
def test_debian_names(debian: str, platform: str) -> None:
    assert debian_platform(debian) == parse_platform(platform)


@pytest.mark.parametrize(
    ("offered", "platform", "chosen"),
    [
        (["amd64", "arm64"], "arm64", "arm64"),
        (["amd64", "arm64"], "arm64/v8", "arm64"),
        (["armel", "armhf"], "arm", "armhf"),
        (["armel", "armhf"], "arm/v7", "armhf"),
        (["armhf", "armel"], "arm/v6", "armel"),
        (["armhf"], "arm/v6", None),
        (["armel"], "arm/v7", "armel"),
        (["amd64"], "amd64/v3", "amd64"),
        (["amd64"], "386", None),
        ([], "amd64", None),
    ],
)
def test_packages_for_a_platform(offered: Any, platform: str, chosen: Optional[str]) -> None:
    assert debian_architecture(offered, parse_platform(platform)) == chosen


def descriptor(text: str, os: str = "linux") -> Dict[str, Any]:
    return {"digest": text, "platform": {**parse_platform(text).to_json(), "os": os}}


@pytest.mark.parametrize(
    ("offered", "wanted", "found"),
    [
        (["amd64", "arm64"], "arm64", ["arm64"]),
        (["arm/v6", "arm/v7"], "arm", ["arm/v7"]),
        (["arm/v6", "arm/v7"], "arm/v6", ["arm/v6"]),
        (["arm/v5", "arm/v6"], "arm/v7", ["arm/v6"]),
        (["amd64", "amd64/v3"], "amd64", ["amd64"]),
        (["amd64", "amd64/v3"], "amd64/v4", ["amd64/v3"]),
        (["arm/v7"], "arm/v6", []),
        (["amd64", "amd64"], "amd64", ["amd64", "amd64"]),
    ],
)
def test_images_for_a_platform(offered: Any, wanted: str, found: Any) -> None:
    matches = best_matches([descriptor(text) for text in offered], parse_platform(wanted))
    assert [item["digest"] for item in matches] == found


def test_images_of_other_systems_and_of_none() -> None:
    windows, silent = descriptor("amd64", "windows"), {"digest": "x"}
    assert best_matches([windows], Platform("amd64")) == []
    assert best_matches([silent], Platform("arm64")) == [silent]
