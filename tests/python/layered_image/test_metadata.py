"""Placeholders, build arguments, and the fields that have them."""

from __future__ import annotations

from typing import Any, Dict, List, Type

import pytest
from pants.engine.addresses import Address
from pants.engine.target import Field, InvalidFieldException

from layered_image.fields.metadata import (
    ImageAnnotationsField,
    ImageExtraBuildArgsField,
    ImageIndexAnnotationsField,
    ImageLabelsField,
)
from layered_image.images.build_args import build_arg, parse_build_args
from layered_image.templates import filled, placeholders_in
from strata.errors import StrataError

ADDRESS = Address("src/app", target_name="web")


@pytest.mark.parametrize(
    ("template", "names", "text"),
    [
        ("", (), ""),
        ("plain", (), "plain"),
        ("{a}-{b.c}-{a}", ("a", "b.c"), "1-2-1"),
        ('{{"x": {a}}}', ("a",), '{"x": 1}'),
        ("{{a}}", (), "{a}"),
        ("{{{a}}}", ("a",), "{1}"),
    ],
)
def test_placeholders_are_filled(template: str, names: Any, text: str) -> None:
    assert placeholders_in(template) == names
    assert filled(template, {"a": "1", "b.c": "2"}) == text
    # What a value has in it is not looked at again.
    assert filled("{a}", {"a": "{b}"}) == "{b}"


@pytest.mark.parametrize("template", ["{", "}", "{a}}", "x{a", "{a{b}}"])
def test_single_braces_are_errors(template: str) -> None:
    with pytest.raises(StrataError, match="single '[{}]'; write '({{|}})'"):
        placeholders_in(template)


def test_build_arguments() -> None:
    arguments = parse_build_args(["A=1", "B", "C=", "A=x=y"])
    assert arguments == {"A": "x=y", "B": None, "C": ""}
    assert build_arg("A", arguments, {"A": "not asked"}) == "x=y"
    assert build_arg("B", arguments, {"B": "from outside"}) == "from outside"
    assert build_arg("C", arguments, {}) == ""
    with pytest.raises(StrataError, match="no build argument D .known: A, B, C.*extra_build_args"):
        build_arg("D", arguments, {"D": "undeclared"})
    with pytest.raises(StrataError, match="environment variable B is not set.*'B=value'"):
        build_arg("B", arguments, {})
    for wrong in ("", "=x", "A B", "a-b=1"):
        with pytest.raises(StrataError, match="is no build argument"):
            parse_build_args([wrong])


@pytest.mark.parametrize(
    "field", [ImageLabelsField, ImageAnnotationsField, ImageIndexAnnotationsField]
)
@pytest.mark.parametrize(
    ("value", "complaints"),
    [
        ({"": "x"}, ["key is empty"]),
        ({"a": 1}, ["string"]),
        ({1: "a"}, ["string"]),
        (["a"], ["string"]),
        ({"a": "{pants.hash}"}, ["'a'", "digest", "`repositories`"]),
        ({"a": "{nothing}"}, ["'a'", "{nothing}", "{name}", "{build_args.NAME}", "{git.commit}"]),
        ({"a": "{build_args.}"}, ["{build_args.}"]),
        ({"a": "{x"}, ["'a'", "single '{'"]),
    ],
)
def test_fields_say_what_is_wrong_with_them(
    field: Type[Field], value: Any, complaints: List[str]
) -> None:
    with pytest.raises(InvalidFieldException) as caught:
        field(value, ADDRESS)
    for complaint in [*complaints, "src/app:web", field.alias]:
        assert complaint in str(caught.value)


def test_fields_take_what_is_right() -> None:
    value: Dict[str, str] = {"a": "{git.commit} {build_args.X} {name} {{}}", "b": ""}
    assert dict(ImageLabelsField(value, ADDRESS).value or {}) == value
    assert ImageAnnotationsField(None, ADDRESS).value is None
    assert ImageExtraBuildArgsField(["A", "B=1"], ADDRESS).value == ("A", "B=1")
    with pytest.raises(InvalidFieldException, match="extra_build_args.*src/app:web.*'=1'"):
        ImageExtraBuildArgsField(["=1"], ADDRESS)
