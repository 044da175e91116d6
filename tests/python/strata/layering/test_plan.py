"""Plans hold what they promise, for every strategy."""

from __future__ import annotations

import random
from typing import Dict, List

import pytest

from strata.errors import StrataError
from strata.layering.auto_layer import auto_layer
from strata.layering.plan import STRATEGIES, PlannedLayer, PlanSettings, plan_layers
from strata.layering.popularity import popularity, scores
from strata.model import Graph, ImageObject

#: The graph of the examples in Nix' documentation.
REFERENCES = {"A": "BG", "B": "CE", "C": "DE", "D": "F", "E": "F"}
SIZES = {"A": 1, "B": 5, "C": 20, "D": 3, "E": 50, "F": 100, "G": 2}


def example() -> Graph:
    return Graph([ImageObject(name, size=SIZES[name]) for name in SIZES], REFERENCES)


def test_popularity_of_the_documented_example() -> None:
    assert scores(example()) == {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 9, "G": 2}
    assert [unit for unit, _ in popularity(example())] == [(n,) for n in "FEDCBGA"]


def random_graph(seed: int, count: int = 40, circles: bool = False) -> Graph:
    source = random.Random(seed)
    objects: List[ImageObject] = []
    references: Dict[str, List[str]] = {}
    for index in range(count):
        first_party = source.random() < 0.2
        kind = "source" if first_party else source.choice(("debian", "python"))
        size = source.choice((100, 50_000, 3_000_000, 40_000_000))
        objects.append(ImageObject(f"{kind}:{index}", "1", size, first_party))
        below = [objects[source.randrange(index)].name for _ in range(3)] if index else []
        references[objects[-1].name] = below
        if circles and below and source.random() < 0.2:
            references[below[0]] = [*references[below[0]], objects[-1].name]
    return Graph(objects, references)


@pytest.mark.parametrize("seed", range(20))
def test_popularity_is_the_formula(seed: int) -> None:
    """W_n(x) as the reference writes it, computed the slow way."""
    graph = random_graph(seed, 14)
    memo: Dict[str, Dict[str, int]] = {}

    def weights(children: "tuple[str, ...]") -> Dict[str, int]:
        total: Dict[str, int] = {}
        for child in children:
            total[child] = total.get(child, 0) + 1
            if child not in memo:
                memo[child] = weights(graph.references[child])
            for name, weight in memo[child].items():
                total[name] = total.get(name, 0) + weight + 1
        return total

    used = {target for targets in graph.references.values() for target in targets}
    roots = tuple(name for name in graph.objects if name not in used)
    assert scores(graph) == weights(roots)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, "ABCDEFG"),
        (2, "F ABCDEG"),
        (3, "F E ABCDG"),
        (4, "F E CD ABG"),
        (5, "F E CD B AG"),
        (6, "F D E C B AG"),
        (7, "G F D E C B A"),
    ],
)
def test_auto_layer_of_the_documented_example(limit: int, expected: str) -> None:
    assert auto_layer(example(), limit) == [tuple(group) for group in expected.split()]


def members(plan: List[PlannedLayer]) -> List[str]:
    return sorted(name for layer in plan for name in layer.members)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("max_layers", [6, 12, 40, 100])
@pytest.mark.parametrize("seed", range(6))
def test_every_object_once_and_never_too_many_layers(
    strategy: str, max_layers: int, seed: int
) -> None:
    graph = random_graph(seed, circles=seed % 2 == 1)
    plan = plan_layers(graph, PlanSettings(max_layers, strategy, base_layers=1))
    assert members(plan) == sorted(graph.objects)
    assert len(plan) <= max_layers - 2
    assert all(layer.members and layer.reason for layer in plan)


@pytest.mark.parametrize("strategy", ["popularity", "stable"])
@pytest.mark.parametrize("seed", range(10))
def test_first_party_code_stays_apart(strategy: str, seed: int) -> None:
    graph = random_graph(seed)
    for layer in plan_layers(graph, PlanSettings(8, strategy)):
        assert len({graph.objects[name].first_party for name in layer.members}) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_order_of_the_input_does_not_matter(strategy: str) -> None:
    graph = random_graph(3)
    shuffled = list(graph.objects.values())
    random.Random(1).shuffle(shuffled)
    references = {name: list(reversed(targets)) for name, targets in graph.references.items()}
    settings = PlanSettings(12, strategy)
    assert plan_layers(Graph(shuffled, references), settings) == plan_layers(graph, settings)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("max_layers", [10, 100])
def test_stable_a_new_version_moves_no_other_object(seed: int, max_layers: int) -> None:
    """Its size may change by a fifth, as long as that does not make it large or small."""
    graph = random_graph(seed)
    source = random.Random(seed)
    name = source.choice(sorted(graph.objects))
    old = graph.objects[name]
    bumped = ImageObject(name, "2", int(old.size * source.uniform(0.8, 1.2)), old.first_party)
    objects = [bumped if item.name == name else item for item in graph.objects.values()]
    settings = PlanSettings(max_layers)
    before = {frozenset(layer.members) for layer in plan_layers(graph, settings)}
    changed = Graph(objects, graph.references)
    after = {frozenset(layer.members) for layer in plan_layers(changed, settings)}
    assert before == after


def test_stable_puts_what_changes_often_on_top() -> None:
    objects = [
        ImageObject("source:app", "", 10_000_000, True),
        ImageObject("python:numpy", "1", 30_000_000),
        ImageObject("python:tiny", "1", 3_000),
        ImageObject("debian:python3.11-minimal", "1", 5_000_000),
        ImageObject("debian:libc6", "1", 12_000_000),
    ]
    plan = plan_layers(Graph(objects, {}), PlanSettings(100))
    assert [layer.members for layer in plan] == [
        ("debian:libc6",),
        ("debian:python3.11-minimal",),
        ("python:numpy",),
        ("python:tiny",),
        ("source:app",),
    ]


def test_budgets_that_are_too_small_say_what_is_needed() -> None:
    graph = Graph([ImageObject("python:a"), ImageObject("source:b", first_party=True)], {})
    for strategy in ("popularity", "stable"):
        with pytest.raises(StrataError, match="max_layers=3 is too small.*needs at least 4"):
            plan_layers(graph, PlanSettings(3, strategy, base_layers=1))
        assert len(plan_layers(graph, PlanSettings(4, strategy, base_layers=1))) == 2


def test_groups_come_first_and_the_strategy_plans_the_rest() -> None:
    groups = {"data": ["E", "F"], "all of g": ["G*"]}
    plan = plan_layers(example(), PlanSettings(100, "popularity", groups=groups))
    assert [layer.members for layer in plan[:2]] == [("G",), ("E", "F")]
    assert members(plan) == list("ABCDEFG")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"g": ["nothing"]}, "'nothing' of the group 'g' matches no object"),
        ({"g": ["A"], "h": ["A"]}, "A is in both of the groups 'g' and 'h'"),
    ],
)
def test_bad_groups(groups: Dict[str, List[str]], message: str) -> None:
    with pytest.raises(StrataError, match=message):
        plan_layers(example(), PlanSettings(100, groups=groups))
