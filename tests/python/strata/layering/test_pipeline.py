"""The operations of Nix' pipelines."""

from __future__ import annotations

from typing import Any, List

import pytest

from strata.errors import StrataError
from strata.layering.pipeline import run_pipeline
from strata.layering.pipeline_steps import check_steps
from strata.layering.plan import BudgetError, PlanSettings, plan_layers
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
        ([["split_paths", [{"children_of": "A"}]]], "BCDEFG A"),
        ([["split_paths", ["D", {"children_of": ["B"]}]]], "CDEF ABG"),
        # What both the listed ones and others need is common, however deep below.
        ([["split_paths", ["G", "D"]]], "DG F ABCE"),
        ([["subcomponent_out", ["D"]]], "DF ABCEG"),
        ([["subcomponent_in", ["E"]]], "ABCE DFG"),
        ([["subcomponent_out", ["unknown"]]], "ABCDEFG"),
        ([["subcomponent_in", []]], "ABCDEFG"),
        ([["subcomponent_in", ["A", "G"]]], "AG BCDEF"),
        ([["subcomponent_in", "F"]], "ABCDEF G"),
        ([["split_every", 3]], "ADG BCE F"),
        ([["split_every", 100]], "ABCDEFG"),
        ([["remove_paths", "unknown"]], "ABCDEFG"),
        ([["remove_paths", ["*"]]], ""),
        ([["popularity_contest"], ["flatten"]], "F E D C B G A"),
        (
            [["subcomponent_out", ["D"]], ["flatten"], ["map", ["popularity_contest"]]],
            "F D E C B G A",
        ),
        ([["popularity_contest"], ["map", ["remove_paths", ["A", "F"]]]], "E D C B G"),
        # Upstream's own example of a nested pipeline.
        (
            [
                ["split_paths", ["B"]],
                [
                    "over",
                    "main",
                    ["pipe", [["subcomponent_in", ["B"]], ["over", "rest", "popularity_contest"]]],
                ],
                ["flatten"],
                ["map", ["remove_paths", "G"]],
                ["limit_layers", 4],
            ],
            "B F D ACE",
        ),
        ([["remove_paths", ["A", "G"]], ["split_every", 5]], "BCDEF"),
        ([["split_every", 4], ["map", ["split_every", 2]], ["flatten"]], "AG BD CE F"),
        ([["pipe", [["split_every", 4], ["reverse"]]]], "CEF ABDG"),
    ],
)
def test_operations(steps: List[Any], expected: str) -> None:
    assert layers(*steps) == expected.split()


def test_addresses_stand_for_their_objects_wherever_objects_are_named() -> None:
    aliases = {"//app:e": ("E",), ":both": ("C", "D"), "app:e": ("E",)}

    def run(*steps: Any) -> List[str]:
        return ["".join(group) for group in run_pipeline(GRAPH, steps, aliases)]

    assert run(["remove_paths", ":both"]) == ["ABEFG"]
    assert run(["remove_paths", [":both", "A"]]) == ["BEFG"]
    assert run(["subcomponent_in", "app:e"]) == run(["subcomponent_in", ["//app:e"]])
    assert run(["split_paths", {"children_of": ":both"}]) == run(["split_paths", ["D", "E", "F"]])


def test_an_address_of_nothing_in_the_image() -> None:
    message = r"layering\[0\] \(split_paths\): //app:x is no address .* there are //app:e"
    with pytest.raises(StrataError, match=message):
        run_pipeline(GRAPH, [["split_paths", ["//app:x"]]], {"//app:e": ("E",), ":e": ("E",)})


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([["dance"]], r"layering\[0\]: unknown operation 'dance'; .*flatten, limit_layers"),
        ([["map", ["dance"]]], r"layering\[0\] \(map\): step: unknown operation 'dance'"),
        ([[]], r"layering\[0\]: a step is a list"),
        ([["limit_layers"]], r"layering\[0\]: 'limit_layers' takes count, and not 0 arguments"),
        ([["reverse", 1]], r"layering\[0\]: 'reverse' takes no arguments, and not 1"),
        ([["over", "main"]], r"layering\[0\]: 'over' takes key and step, and not 1"),
        ([["limit_layers", "2"]], r"layering\[0\] \(limit_layers\): count must be a positive"),
        ([["split_every", 0]], r"layering\[0\] \(split_every\): count must be a positive"),
        (
            [["split_paths", {"parents_of": "A"}]],
            r"\(split_paths\): paths: the only .*'children_of'",
        ),
        ([["split_paths", {"children_of": 1}]], r"\(split_paths\): paths children_of must be"),
        ([["remove_paths", 3]], r"layering\[0\] \(remove_paths\): paths must be .*, not 3"),
        ([["remove_paths", [["A"]]]], r"\(remove_paths\): paths: a list of objects has no lists"),
        ([["over", 1, "flatten"]], r"layering\[0\] \(over\): key must be .*, not 1"),
        ([["pipe", "x"]], r"layering\[0\] \(pipe\): steps must be a list of steps"),
        (
            [["pipe", [["flatten"], ["limit_layers", True]]]],
            r"layering\[0\] \(pipe\): steps\[1\] \(limit_layers\): count must be",
        ),
        ("limit_layers", r"layering must be a list of steps"),
    ],
)
def test_steps_that_no_graph_makes_right(steps: Any, message: str) -> None:
    with pytest.raises(StrataError, match=message):
        check_steps(steps, "layering")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([["limit_layers", 2]], r"layering\[0\] \(limit_layers\) needs a list, not a graph"),
        (
            [["popularity_contest"]] * 2,
            r"layering\[1\] \(popularity_contest\) needs a graph, not a",
        ),
        ([["over", "main", ["flatten"]]], r"layering\[0\] \(over\) needs a dict, not a graph"),
        (
            [["split_paths", ["C"]], ["over", "x", ["flatten"]]],
            r"layering\[1\] \(over\): key 'x' is not there; there are common, main, rest",
        ),
        (
            [["split_paths", ["C"]], ["over", "main", ["pipe", ["flatten", "split_every"]]]],
            r"layering\[1\] \(over\): step \(pipe\): steps\[1\]: 'split_every' takes count",
        ),
        (
            [["split_paths", ["C"]], ["over", "main", ["pipe", ["flatten", ["split_every", 2]]]]],
            r"layering\[1\] \(over\) main \(pipe\)\[1\] \(split_every\) needs a graph, not a list",
        ),
        (
            [["split_paths", ["C"]], ["reverse"]],
            r"layering\[1\] \(reverse\) needs a list, not a dict",
        ),
    ],
)
def test_steps_that_do_not_fit_what_came_before(steps: List[Any], message: str) -> None:
    with pytest.raises(StrataError, match=message):
        layers(*steps)


def test_a_pipeline_that_makes_too_many_layers() -> None:
    settings = PlanSettings(4, ["popularity_contest"])
    with pytest.raises(BudgetError, match="needs at least 8 .*'limit_layers'"):
        plan_layers(GRAPH, settings)
