"""A report's closure: what targets ask for, and what the image below brought."""

from __future__ import annotations

from strata.report.closure import describe_closure, uppermost


def test_uppermost_are_those_that_nothing_refers_to() -> None:
    references = {"source:web": ["python:flask", "source:common"], "python:flask": ["python:jinja"]}
    names = ["python:jinja", "python:flask", "source:web", "source:common", "python:waitress"]
    assert uppermost(names, references) == ("python:waitress", "source:web")


def test_a_circle_is_uppermost_as_a_whole_or_not_at_all() -> None:
    circle = {"a": ["b"], "b": ["a", "c"], "c": []}
    assert uppermost("abc", circle) == ("a", "b")
    assert uppermost("abcd", {**circle, "d": ["a"]}) == ("d",)


def test_what_is_not_among_the_names_does_not_count() -> None:
    assert uppermost(["a"], {"a": ["z"], "z": ["a"]}) == ("a",)


def test_description_is_sorted_and_complete() -> None:
    described = describe_closure(
        {"app:os": ("b",), "app:b": ("c", "a"), "app:users": ()},
        {"a": ("c", "b")},
        {"c": "3", "b": "2", "a": "1"},
    )
    assert described == {
        "roots": {"app:b": ["a", "c"], "app:os": ["b"]},
        "objects": {
            "a": {"content": "1", "references": ["b", "c"]},
            "b": {"content": "2", "references": []},
            "c": {"content": "3", "references": []},
        },
    }
    assert list(described["roots"]) == ["app:b", "app:os"]
    assert list(described["objects"]) == ["a", "b", "c"]


def test_an_image_has_the_closure_of_its_base_below_its_own() -> None:
    base = describe_closure(
        {"app:os": ("libc",), "app:x": ("python",)},
        {"python": ("libc",)},
        {"libc": "1", "python": "1"},
    )
    before = repr(base)
    described = describe_closure(
        {"app:x": ("tool",)}, {"tool": ("python",)}, {"tool": "5", "python": "2"}, base
    )
    assert described["roots"] == {"app:os": ["libc"], "app:x": ["python", "tool"]}
    assert described["objects"]["libc"] == {"content": "1", "references": []}
    assert described["objects"]["python"] == {"content": "2", "references": []}
    assert repr(base) == before
