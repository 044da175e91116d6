"""Graphs refuse what makes no sense, and find circles."""

from __future__ import annotations

import pytest

from strata.errors import StrataError
from strata.model import Graph, ImageObject


def graph(**references: str) -> Graph:
    names = set(references) | set("".join(references.values()))
    return Graph([ImageObject(name) for name in sorted(names)], references)


def test_names_are_unique_and_references_known() -> None:
    with pytest.raises(StrataError, match="named 'a'"):
        Graph([ImageObject("a"), ImageObject("a")], {})
    with pytest.raises(StrataError, match="a refers to 'b'"):
        Graph([ImageObject("a")], {"a": ["b"]})


def test_an_object_that_refers_to_itself_does_not_count() -> None:
    assert graph(a="a").references == {"a": ()}


def test_components_come_with_what_they_refer_to_first() -> None:
    assert graph(a="b", b="c", c="b", d="a").components() == [("b", "c"), ("a",), ("d",)]


def test_a_long_chain_needs_no_deep_stack() -> None:
    names = [f"o{index}" for index in range(20_000)]
    chain = Graph((ImageObject(n) for n in names), {a: [b] for a, b in zip(names, names[1:])})
    assert chain.components()[0] == (names[-1],)
    assert len(chain.components()) == len(names)
