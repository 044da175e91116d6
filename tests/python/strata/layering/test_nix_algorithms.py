"""Nix' algorithms are its own: the documented examples, and slow ones on random graphs."""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Set, Tuple

import pytest

from closure_graphs import example, random_graph
from strata.layering.auto_layer import auto_layer
from strata.layering.plan import PlanSettings, plan_layers
from strata.layering.popularity import popularity, scores
from strata.model import Graph, ImageObject


def test_popularity_of_the_documented_example() -> None:
    assert scores(example()) == {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 9, "G": 2}
    assert [unit for unit, _ in popularity(example())] == [(n,) for n in "FEDCBGA"]


@pytest.mark.parametrize("seed", range(20))
def test_popularity_is_the_formula(seed: int) -> None:
    """W_n(x) with a map for each object, as the reference writes it."""
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
    ("budget", "expected"),
    [(1, "ABCDEFG"), (2, "F ABCDEG"), (3, "F E ABCDG"), (7, "F E D C B G A"), (9, "F E D C B G A")],
)
def test_popularity_gives_the_rest_one_layer(budget: int, expected: str) -> None:
    plan = plan_layers(example(), PlanSettings(budget + 1, "popularity"))
    assert ["".join(sorted(layer.members)) for layer in plan] == expected.split()


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


def slow_auto_layer(graph: Graph, limit: int) -> Set[FrozenSet[str]]:
    """The steps of the reference, with sets of names."""

    def reach(start: str, edges: Dict[str, Set[str]]) -> Set[str]:
        found: Set[str] = set()
        pending = [start]
        while pending:
            for name in edges[pending.pop()] - found:
                found.add(name)
                pending.append(name)
        return found

    down = {name: set(targets) for name, targets in graph.references.items()}
    up: Dict[str, Set[str]] = {name: set() for name in down}
    for name, targets in down.items():
        for target in targets:
            up[target].add(name)
    labels: Dict[str, FrozenSet[str]] = {name: frozenset() for name in down}
    for primary in sorted(down, key=lambda name: (-graph.objects[name].size, name)):
        below, above = reach(primary, down), reach(primary, up)
        tried = {**labels, primary: frozenset({primary})}
        for name in below:
            tried[name] = tried[name] - above
            if not tried[name] & below:
                tried[name] |= {primary}
        if len(set(tried.values())) > limit:
            break
        labels = tried
    groups: Dict[FrozenSet[str], List[str]] = {}
    for name, label in labels.items():
        groups.setdefault(label, []).append(name)
    return {frozenset(names) for names in groups.values()}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 13, 21, 100])
@pytest.mark.parametrize("seed", range(8))
def test_auto_layer_is_the_algorithm(seed: int, limit: int) -> None:
    graph = random_graph(seed)
    groups = auto_layer(graph, limit)
    assert {frozenset(group) for group in groups} == slow_auto_layer(graph, limit)
    sizes = [closure_size(graph, group) for group in groups]
    assert sizes == sorted(sizes)


def closure_size(graph: Graph, names: Tuple[str, ...]) -> int:
    found = set(names)
    pending = list(names)
    while pending:
        for target in graph.references[pending.pop()]:
            if target not in found:
                found.add(target)
                pending.append(target)
    return sum(graph.objects[name].size for name in found)


def test_ties_break_by_name() -> None:
    equal = Graph([ImageObject(name, size=7) for name in "CAB"], {})
    assert auto_layer(equal, 2) == [("A",), ("B", "C")]
    assert [unit for unit, _ in popularity(equal)] == [("A",), ("B",), ("C",)]


def test_a_circle_is_one_object() -> None:
    graph = Graph([ImageObject(name, size=7) for name in "ABCD"], {"A": "B", "B": "CA", "C": "D"})
    assert [unit for unit, _ in popularity(graph)] == [("D",), ("C",), ("A", "B")]
    assert auto_layer(graph, 3) == [("D",), ("C",), ("A", "B")]
