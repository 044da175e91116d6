"""What dockerTools' own tests check of its layering, by the numbers of docs/dockertools.md."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from strata.layering.pipeline import run_pipeline
from strata.layering.plan import STRATEGIES, PlanSettings, plan_layers
from strata.layering.popularity import popularity
from strata.model import Graph, ImageObject

# The graph of upstream's documentation, and one with a common dependency and a detached vertex.
DOCUMENTED = {"A": "BG", "B": "CE", "C": "DE", "D": "F", "E": "F"}
SHARED = {"A": "C", "B": "C", "C": "D"}


def graph(names: str, references: Dict[str, str]) -> Graph:
    return Graph([ImageObject(name, size=index) for index, name in enumerate(names)], references)


def piped(data: Graph, *steps: Any) -> List[str]:
    return ["".join(group) for group in run_pipeline(data, steps)]


def test_21_order_of_popularity() -> None:
    found = [unit for unit, _ in popularity(graph("ABCDEFG", DOCUMENTED))]
    assert found == [(name,) for name in "FEDCBGA"]


def test_21_empty_graph() -> None:
    empty = Graph([], {})
    assert popularity(empty) == []
    assert piped(empty, ["popularity_contest"]) == []
    for strategy in STRATEGIES:
        assert plan_layers(empty, PlanSettings(10, strategy)) == []


def test_21_detached_vertex_is_last() -> None:
    found = [unit for unit, _ in popularity(graph("ABX", {"A": "B"}))]
    assert found[0] == ("B",)
    # Those that nobody refers to are worth the same, and are ordered by name.
    assert found[1:] == [("A",), ("X",)]


def test_21_objects_are_as_they_were() -> None:
    data = graph("ABCDEFG", DOCUMENTED)
    before = dict(data.objects)
    plan_layers(data, PlanSettings(10, "popularity"))
    assert dict(data.objects) == before


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["A"], "A CD B"),
        (["A", "B"], "ABCD"),
        ([], "ABCD"),
        (["unknown"], "ABCD"),
        (["A", "unknown"], "A CD B"),
        (["C"], "CD AB"),
        (["D"], "D ABC"),
    ],
)
def test_22_split_paths(paths: List[str], expected: str) -> None:
    assert piped(graph("ABCD", SHARED), ["split_paths", paths]) == expected.split()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([["subcomponent_out", ["C"]]], "CD AB"),
        ([["subcomponent_in", ["C"]]], "ABC D"),
        ([["subcomponent_in", ["D"]]], "ABCD"),
        ([["subcomponent_out", ["unknown"]]], "ABCD"),
        ([["popularity_contest"], ["limit_layers", 9]], "D C A B"),
        ([["popularity_contest"], ["limit_layers", 2]], "D ABC"),
        ([["popularity_contest"], ["reverse"]], "B A C D"),
        ([["remove_paths", "D"], ["popularity_contest"]], "C A B"),
    ],
)
def test_22_other_operations(steps: List[Any], expected: str) -> None:
    assert piped(graph("ABCD", SHARED), *steps) == expected.split()


def test_23_order_does_not_depend_on_the_input() -> None:
    # nix2container breaks ties by hash; here a name does.
    one = [unit for unit, _ in popularity(graph("ABCDEFG", DOCUMENTED))]
    other = [unit for unit, _ in popularity(graph("GFEDCBA", DOCUMENTED))]
    assert one == other
