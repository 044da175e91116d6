"""From fields and options to repositories and tags."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import pytest
from pants.engine.addresses import Address

from layered_image.registries.destinations import find_destinations, placeholders
from layered_image.registries.registries import ALL_DEFAULT_REGISTRIES, Registries
from strata.errors import StrataError

TABLE: Dict[str, Any] = {
    "main": {"address": "a.example", "default": True, "extra_image_tags": ["{name}-x", "1"]},
    "team": {"address": "b.example:5000/team", "repository": "of/{target_repository}"},
}
DEFAULTS = (ALL_DEFAULT_REGISTRIES,)


def found(
    repositories: Sequence[str] = (),
    registries: Sequence[str] = DEFAULTS,
    image_name: str = "img",
    default: str = "{image_name}",
    tags: Sequence[str] = ("1",),
    table: Dict[str, Any] = TABLE,
) -> List[Tuple[str, Tuple[str, ...]]]:
    values = placeholders(Address("src/app", target_name="web"), image_name, "sha256:abc")
    destinations = find_destinations(
        Registries.from_option(table), registries, repositories, default, tags, values
    )
    return [(item.repository, item.tags) for item in destinations]


def test_defaults_are_the_image_s_name_at_default_registries() -> None:
    assert found() == [("a.example/img", ("1", "web-x"))]
    assert found(default="all/{full_directory}/{name}") == [
        ("a.example/all/src/app/web", ("1", "web-x"))
    ]
    assert found(table={}) == []
    assert found(registries=()) == []


def test_fields_name_others() -> None:
    assert found(registries=["@team", "c.example"]) == [
        ("b.example:5000/team/of/img", ("1",)),
        ("c.example/img", ("1",)),
    ]
    assert found(["x/{parent_directory}-{directory}", "y/{default_repository}"]) == [
        ("a.example/x/src-app", ("1", "web-x")),
        ("a.example/y/img", ("1", "web-x")),
    ]


def test_a_name_with_a_registry_goes_there_alone() -> None:
    assert found(["c.example/x", "@team/y", "a.example/z", "b.example:5000/team/w"]) == [
        ("c.example/x", ("1",)),
        ("b.example:5000/team/y", ("1",)),
        ("a.example/z", ("1", "web-x")),
        ("b.example:5000/team/w", ("1",)),
    ]
    assert found(image_name="c.example/org/img") == [("c.example/org/img", ("1",))]
    # Unless the field says where.
    assert found(image_name="c.example/org/img", registries=["d.example"]) == [
        ("d.example/org/img", ("1",))
    ]


def test_names_are_lowered_and_repeated_ones_are_one() -> None:
    assert found(["X", "x", "a.example/x"]) == [("a.example/x", ("1", "web-x"))]
    assert found(image_name="img", registries=["docker.io"]) == [("docker.io/library/img", ("1",))]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"repositories": ["{nope}"]}, "unknown placeholder {nope}; there are .*{name}"),
        ({"default": "{nope}"}, "default_repository.*unknown placeholder"),
        ({"registries": ["@nope"]}, "no registry @nope .*@main, @team"),
        ({"repositories": ["@nope/x"]}, "no registry @nope"),
        ({"repositories": ["@main"]}, "no repository after its alias"),
        ({"repositories": ["x//y"]}, "not the name of a repository"),
        ({"repositories": ["x:1"]}, "has a tag or digest"),
        (
            {"table": {"m": {"address": "a.example", "default": True, "extra_image_tags": ["-"]}}},
            "'-' is not a tag",
        ),
        (
            {"table": {"m": {"address": "a.example", "default": True, "repository": "{x}"}}},
            "registries.m.repository.*unknown placeholder",
        ),
    ],
)
def test_what_is_wrong_is_named(arguments: Dict[str, Any], complaint: str) -> None:
    with pytest.raises(StrataError, match=complaint):
        found(**arguments)
