"""The operations of Nix' pipelines."""

from __future__ import annotations

from typing import Any, List

import pytest

from strata.errors import StrataError
from strata.layering.pipeline import run_pipeline
from strata.layering.plan import PlanSettings, plan_layers
from strata.model import Graph, ImageObject

REFERENCES = {"A": "BG", "B": "CE", "C": "DE", "D": "F", "E": "F"}
SIZES = {"A": 1, "B": 5, "C": 20, "D": 3, "E": 50, "F": 100, "G": 2}
GRAPH = Graph([ImageObject(name, size=SIZES[name]) for name in SIZES], REFERENCES)


def layers(*steps: Any) -> List[str]:
    return ["".join(group) for group in run_pipeline(GRAPH, steps)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], "ABCDEFG"),
        (["popularity_contest"], "F E D C B G A"),
        ([["popularity_contest"], ["reverse"]], "A G B C D E F"),
        ([["popularity_contest"], ["limit_layers", 3]], "F E ABCDG"),
        ([["popularity_contest"], ["limit_layers", 7]], "F E D C B G A"),
        # Upstream adds an empty layer here.
        ([["popularity_contest"], ["limit_layers", 9]], "F E D C B G A"),
        ([["split_paths", ["C"]]], "CD EF ABG"),
        ([["split_paths", "C"], ["over", "main", ["popularity_contest"]]], "D C EF ABG"),
        ([["split_paths", ["E", "unknown"]]], "E F ABCDG"),
        ([["split_paths", ["unknown"]]], "ABCDEFG"),
        ([["split_paths", ["A"]]], "ABCDEFG"),
        ([["split_paths", {"children_of": "A"}]], "BCDEFG A"),
        ([["subcomponent_out", ["D"]]], "DF ABCEG"),
        ([["subcomponent_in", ["E"]]], "ABCE DFG"),
        ([["split_every", 3]], "ADG BCE F"),
        ([["remove_paths", ["A", "G"]], ["split_every", 5]], "BCDEF"),
        ([["split_every", 4], ["map", ["split_every", 2]], ["flatten"]], "AG BD CE F"),
        ([["pipe", [["split_every", 4], ["reverse"]]]], "CEF ABDG"),
    ],
)
def test_operations(steps: List[Any], expected: str) -> None:
    assert layers(*steps) == expected.split()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([["dance"]], r"layering\[0\]: unknown operation 'dance'"),
        ([[]], r"layering\[0\]: a step is a list"),
        ([["limit_layers"]], r"layering\[0\]: 'limit_layers' takes 1 arguments, not 0"),
        ([["limit_layers", 2]], r"layering\[0\] \(limit_layers\) needs a list"),
        ([["popularity_contest"], ["limit_layers", 0]], r"layering\[1\].*positive number"),
        ([["popularity_contest"], ["popularity_contest"]], r"layering\[1\].*needs a graph"),
        ([["over", "main", ["flatten"]]], r"layering\[0\] \(over\) needs a dict"),
        ([["split_paths", ["C"]], ["over", "x", ["flatten"]]], "there is no 'x'; there are common"),
        ([["split_paths", {"parents_of": "A"}]], "'children_of'"),
        ([["split_paths", 3]], "must be object patterns, not 3"),
        ([["pipe", "x"]], "must be a list of steps"),
    ],
)
def test_errors_name_the_step_and_the_argument(steps: List[Any], message: str) -> None:
    with pytest.raises(StrataError, match=message):
        layers(*steps)


def test_a_pipeline_that_makes_too_many_layers() -> None:
    settings = PlanSettings(4, ["popularity_contest"])
    with pytest.raises(StrataError, match="needs at least 8 .*'limit_layers'"):
        plan_layers(GRAPH, settings)
