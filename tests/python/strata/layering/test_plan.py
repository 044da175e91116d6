"""Plans hold what they promise, for every strategy: properties on many random graphs."""

from __future__ import annotations

import random
from typing import Any, Dict, List

import pytest

from closure_graphs import example, random_graph, random_images
from strata.errors import StrataError
from strata.layering.plan import (
    STRATEGIES,
    BudgetError,
    GroupsError,
    PlannedLayer,
    PlanSettings,
    plan_layers,
)
from strata.model import Graph, ImageObject

#: Every strategy, pipelines too. The last of each pipeline's steps keeps to any budget below.
PIPELINES: List[Any] = [
    [["popularity_contest"], ["limit_layers", 4]],
    [
        ["split_paths", ["python:*"]],
        ["over", "main", ["pipe", [["popularity_contest"], ["reverse"]]]],
        ["flatten"],
        ["limit_layers", 4],
    ],
    [["subcomponent_in", ["debian:*"]], ["flatten"], ["map", ["split_every", 5]], ["flatten"]]
    + [["reverse"], ["limit_layers", 3]],
]
ALL: List[Any] = [*STRATEGIES, *PIPELINES]


def members(plan: List[PlannedLayer]) -> List[str]:
    return sorted(name for layer in plan for name in layer.members)


@pytest.mark.parametrize("strategy", ALL, ids=str)
@pytest.mark.parametrize("max_layers", [6, 12, 40, 100])
@pytest.mark.parametrize("seed", range(6))
def test_every_object_once_and_never_too_many_layers(
    strategy: Any, max_layers: int, seed: int
) -> None:
    graph = random_graph(seed, circles=seed % 2 == 1)
    images = random_images(seed, graph) if seed > 2 else {}
    settings = PlanSettings(max_layers, strategy, base_layers=1, images=images)
    plan = plan_layers(graph, settings)
    assert members(plan) == sorted(graph.objects)
    assert len(plan) <= max_layers - 2
    assert all(layer.members and layer.reason for layer in plan)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("budget", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 150])
def test_every_image_fits_under_every_cap(strategy: str, budget: int, count: int) -> None:
    """Even where one layer is all there is besides the base and the customisation layer."""
    graph = random_graph(count, count)
    for images in ({}, random_images(count, graph)):
        settings = PlanSettings(budget + 6, strategy, base_layers=5, images=images)
        plan = plan_layers(graph, settings)
        assert members(plan) == sorted(graph.objects)
        assert len(plan) <= budget


@pytest.mark.parametrize("strategy", ALL, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_order_of_the_input_does_not_matter(strategy: Any, seed: int) -> None:
    graph = random_graph(seed, circles=seed % 2 == 1)
    shuffled = list(graph.objects.values())
    random.Random(seed).shuffle(shuffled)
    references = {name: list(reversed(targets)) for name, targets in graph.references.items()}
    images = random_images(seed, graph)
    mixed = {name: list(reversed(images[name])) for name in sorted(images, reverse=True)}
    plan = plan_layers(graph, PlanSettings(12, strategy, images=images))
    again = plan_layers(Graph(shuffled, references), PlanSettings(12, strategy, images=mixed))
    assert again == plan


@pytest.mark.parametrize("strategy", ALL, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_versions_do_not_matter(strategy: Any, seed: int) -> None:
    """Versions stand for contents here; no hash of any is known to the planner."""
    graph = random_graph(seed)
    source = random.Random(seed)
    objects = [
        ImageObject(item.name, f"{source.random()}", item.size, item.first_party)
        for item in graph.objects.values()
    ]
    settings = PlanSettings(12, strategy)
    assert plan_layers(Graph(objects, graph.references), settings) == plan_layers(graph, settings)


@pytest.mark.parametrize("strategy", ["popularity", "stable"])
@pytest.mark.parametrize("seed", range(10))
def test_first_party_code_stays_apart(strategy: str, seed: int) -> None:
    graph = random_graph(seed)
    for max_layers in (3, 8, 100):
        for layer in plan_layers(graph, PlanSettings(max_layers, strategy)):
            assert len({graph.objects[name].first_party for name in layer.members}) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_a_layer_to_spare_the_error_says_what_is_needed(strategy: str) -> None:
    graph = random_graph(1)
    with pytest.raises(
        BudgetError,
        match=r"max_layers=6 is too small: this image needs at least 7 \(1 for the customisation "
        r"layer, 5 for the base image, 1 for its objects\); set max_layers=7 or more",
    ):
        plan_layers(graph, PlanSettings(6, strategy, base_layers=5))
    assert plan_layers(Graph([], {}), PlanSettings(6, strategy, base_layers=5)) == []
    with pytest.raises(BudgetError, match="needs at least 7"):
        plan_layers(Graph([], {}), PlanSettings(6, strategy, base_layers=6))


def test_groups_come_first_and_the_strategy_plans_the_rest() -> None:
    groups = {"data": ["E", "F"], "all of g": ["G*"], "that": ["//app:that"]}
    aliases = {"//app:that": ("A", "B")}
    settings = PlanSettings(100, "popularity", groups=groups, aliases=aliases)
    plan = plan_layers(example(), settings)
    assert [layer.members for layer in plan[:3]] == [("G",), ("E", "F"), ("A", "B")]
    assert [layer.reason for layer in plan[:2]] == ["the group 'all of g'", "the group 'data'"]
    assert members(plan) == list("ABCDEFG")


@pytest.mark.parametrize("strategy", ALL, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_groups_and_a_strategy_have_every_object_once(strategy: Any, seed: int) -> None:
    graph = random_graph(seed, circles=seed == 4)
    names = random.Random(seed).sample(sorted(graph.objects), 12)
    groups = {"one": names[:5], "two": names[5:], "pattern": ["python:google*"]}
    groups["pattern"] = [n for n in graph.objects if n.startswith("python:g") and n not in names]
    settings = PlanSettings(30, strategy, groups={k: v for k, v in groups.items() if v})
    plan = plan_layers(graph, settings)
    assert members(plan) == sorted(graph.objects)
    assert len(plan) <= settings.budget


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"g": ["nothing"]}, "'nothing' of the group 'g' matches no object"),
        ({"g": ["A"], "h": ["A"]}, "A is in both of the groups 'g' and 'h'; take it out of one"),
        ({"g": [":x"]}, "the group 'g': :x is no address of anything in the image"),
    ],
)
def test_bad_groups(groups: Dict[str, List[str]], message: str) -> None:
    with pytest.raises(GroupsError, match=message):
        plan_layers(example(), PlanSettings(100, groups=groups))


def test_groups_that_leave_no_layer_for_the_rest() -> None:
    groups = {"g": ["A"], "h": ["B"]}
    with pytest.raises(
        BudgetError, match="needs at least 4 .*3 for its groups and what is in none"
    ):
        plan_layers(example(), PlanSettings(3, groups=groups))


def test_an_unknown_strategy() -> None:
    with pytest.raises(StrataError, match="unknown strategy 'best': choose from auto_layer, "):
        plan_layers(example(), PlanSettings(100, "best"))
