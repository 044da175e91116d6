"""``[layered-images].registries``, read as Pants' docker backend reads its own."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from pants.backend.docker.registries import DockerRegistries

from layered_image.registries.registries import ALL_DEFAULT_REGISTRIES, Registries, Registry
from strata.errors import StrataError

TABLES: "list[Dict[str, Any]]" = [
    {},
    {"default": {"address": "a.example"}},
    {"one": {"address": "a.example", "default": True}, "two": {"address": "b.example:5000"}},
    {"one": {"address": "b.example", "default": "true"}, "two": {"address": "a.example"}},
    {"one": {"address": "b.example", "default": True}, "default": {"address": "a.example"}},
    {"default": {"address": "a.example", "default": False}},
    {
        "one": {
            "address": "a.example/team",
            "skip_push": True,
            "extra_image_tags": ["x", "{name}"],
            "repository": "all/{name}",
            "use_local_alias": True,
        }
    },
]
NAMES = (
    [ALL_DEFAULT_REGISTRIES],
    ["@one"],
    ["a.example"],
    ["@two", ALL_DEFAULT_REGISTRIES],
    ["other.example:80"],
    [],
)


@pytest.mark.parametrize("table", TABLES)
def test_tables_mean_what_they_mean_to_the_docker_backend(table: Dict[str, Any]) -> None:
    ours, theirs = Registries.from_option(table), DockerRegistries.from_dict(table)
    for names in NAMES:
        try:
            expected = list(dict.fromkeys(theirs.get(*names)))
        except ValueError:
            with pytest.raises(StrataError, match="there is no registry @"):
                ours.get(names)
            continue
        found = ours.get(names)
        assert [
            (r.address, r.alias, r.default, r.skip_push, r.extra_image_tags, r.use_local_alias)
            for r in found
        ] == [
            (r.address, r.alias, r.default, r.skip_push, r.extra_image_tags, r.use_local_alias)
            for r in expected
        ]
        assert [r.repository or None for r in found] == [r.repository for r in expected]


def test_what_says_how_a_registry_is_reached_is_found_by_host() -> None:
    table = {
        "main": {"address": "localhost:5000/team", "plain_http": True},
        "same": {"address": "localhost:5000"},
        "hub": {"address": "docker.io", "mirrors": ["mirror.example"], "ca_file": "ca.pem"},
    }
    found = Registries.from_option(table).ways(["localhost:5000", "docker.io", "c.example"])
    assert {host: item.alias for host, item in found.items()} == {
        "localhost:5000": "main",
        "docker.io": "hub",
    }
    assert Registry("index.docker.io").host == "docker.io"
    table["same"]["ca_file"] = "other.pem"
    with pytest.raises(StrataError, match="main and same differ"):
        Registries.from_option(table).ways(["localhost:5000"])


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("a.example", "must be a table"),
        ({}, "no `address`"),
        ({"address": "https://a.example"}, "without 'https://'"),
        ({"address": "example"}, "no address of a registry"),
        ({"address": 5}, "`address` must be a string"),
        ({"address": "a.example", "defaults": True}, "there is no key defaults"),
        ({"address": "a.example", "default": "maybe"}, "`default` must be true or false"),
        ({"address": "a.example", "mirrors": "b.example"}, "`mirrors` must be a list"),
        ({"address": "a.example/UPPER"}, "lower-case"),
    ],
)
def test_bad_entries_are_named(entry: Any, complaint: str) -> None:
    with pytest.raises(StrataError, match=complaint) as caught:
        Registries.from_option({"main": entry})
    assert "[layered-images].registries.main" in str(caught.value)


@pytest.mark.parametrize("name", ["https://a.example", "somewhere", "a.example/UPPER"])
def test_bad_addresses_in_fields_are_named(name: str) -> None:
    with pytest.raises(StrataError, match="no address of a registry|lower-case"):
        Registries().get([name])
