"""The default strategy: volatile things on top, the same order everywhere, and nothing moves."""

from __future__ import annotations

import random
from typing import Dict, FrozenSet, List, Sequence, Set, Tuple

import pytest

from closure_graphs import random_graph, random_images
from strata.layering.plan import PlanSettings, plan_layers
from strata.layering.stable import FLOOR, PER_LAYER, tier_of
from strata.model import Graph, ImageObject

Images = Dict[str, List[str]]


def plan(graph: Graph, max_layers: int = 100, images: "Images | None" = None) -> List[Tuple]:
    settings = PlanSettings(max_layers, images=images or {})
    return [layer.members for layer in plan_layers(graph, settings)]


def sets(layers: Sequence[Tuple]) -> Set[FrozenSet[str]]:
    return {frozenset(layer) for layer in layers}


def graph_of(**sizes: int) -> Graph:
    return Graph([ImageObject(f"python:{name}", "1", size) for name, size in sizes.items()], {})


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("max_layers", [3, 10, 30, 100])
@pytest.mark.parametrize("knows_others", [False, True])
def test_a_new_version_moves_no_other_object(
    seed: int, max_layers: int, knows_others: bool
) -> None:
    """As long as its size stays within a power of four."""
    graph = random_graph(seed, 60)
    images = random_images(seed, graph) if knows_others else {}
    before = sets(plan(graph, max_layers, images))
    source = random.Random(seed)
    for name in source.sample(sorted(graph.objects), 8):
        old = graph.objects[name]
        bumped = ImageObject(name, "2", int(old.size * source.uniform(0.9, 1.05)), old.first_party)
        assert bumped.size.bit_length() // 2 == old.size.bit_length() // 2
        objects = [bumped if item.name == name else item for item in graph.objects.values()]
        assert sets(plan(Graph(objects, graph.references), max_layers, images)) == before


@pytest.mark.parametrize("seed", range(10))
def test_changed_references_move_nothing(seed: int) -> None:
    graph = random_graph(seed)
    assert plan(Graph(graph.objects.values(), {})) == plan(graph)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("knows_others", [False, True])
def test_kinds_lie_in_the_order_of_their_volatility(seed: int, knows_others: bool) -> None:
    graph = random_graph(seed, 80)
    layers = plan(graph, 100, random_images(seed, graph) if knows_others else None)
    tiers = [tier_of(graph, layer[0]) for layer in layers]
    assert tiers == sorted(tiers)
    for layer in layers:
        assert len({tier_of(graph, name) for name in layer}) == 1


def test_what_changes_often_is_on_top() -> None:
    objects = [
        ImageObject("source:app", "", 10_000_000, True),
        ImageObject("python:numpy", "1", 30_000_000),
        ImageObject("python:tiny", "1", 3_000),
        ImageObject("debian:python3.11-minimal", "1", 5_000_000),
        ImageObject("debian:libc6", "1", 12_000_000),
        # Only some images have it: among Debian's packages it would set their layers apart.
        ImageObject("certificates:bundle", "1", 200_000),
    ]
    assert plan(Graph(objects, {})) == [
        ("debian:libc6",),
        ("debian:python3.11-minimal",),
        ("python:numpy",),
        ("certificates:bundle", "python:tiny"),
        ("source:app",),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_all_images_have_their_common_layers_in_one_order(seed: int) -> None:
    """So that the chain IDs of what lies at the bottom of several match."""
    everything = random_graph(seed, 90)
    images = random_images(seed, everything)
    orders = []
    for image in ("a", "b", "c", "d"):
        names = [name for name in everything.objects if image in images[name]]
        part = Graph([everything.objects[name] for name in names], {})
        orders.append([frozenset(layer) for layer in plan(part, 100, images)])
    for first in orders:
        for second in orders:
            common = set(first) & set(second)
            assert [x for x in first if x in common] == [x for x in second if x in common]


def test_of_equally_heavy_objects_what_most_images_have_lies_lowest() -> None:
    graph = graph_of(a=9_000_000, b=9_100_000, light=2_000_000)
    images = {"python:a": ["a"], "python:b": ["a", "b"], "python:light": ["a", "b", "c"]}
    assert plan(graph) == [("python:a",), ("python:b",), ("python:light",)]
    assert plan(graph, 100, images) == [("python:b",), ("python:a",), ("python:light",)]


def test_small_objects_share_a_layer_with_those_that_the_same_images_have() -> None:
    common = [f"python:c{letter}" for letter in "abcdef"]
    own = [f"python:o{letter}" for letter in "abcdef"]
    images: Images = {**{n: ["a", "b"] for n in common}, **{n: ["a"] for n in own}}
    images["python:odd"] = ["a", "c"]
    of_a = Graph([ImageObject(n, "1", 9_000) for n in [*common, *own, "python:odd"]], {})
    of_b = Graph([ImageObject(n, "1", 9_000) for n in common], {})
    # Without knowing the other image, the first one mixes both kinds.
    assert tuple(common) not in plan(of_a)
    assert plan(of_a, 100, images) == [tuple(common), ("python:odd",), tuple(own)]
    assert plan(of_b, 100, images) == [tuple(common)]


def test_no_layer_is_tiny_while_others_could_share_it() -> None:
    graph = Graph([ImageObject(f"python:x{n}", "1", 5_000) for n in range(PER_LAYER)], {})
    assert len(plan(graph)) == 1
    graph = Graph([ImageObject(f"python:x{n}", "1", FLOOR) for n in range(PER_LAYER)], {})
    assert len(plan(graph)) == PER_LAYER


def test_what_is_released_together_shares_a_layer() -> None:
    words = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
    names = [f"python:{word}-{part}" for word in words for part in ("core", "http", "grpc")]
    layers = plan(Graph([ImageObject(name, "1", 9_000) for name in names], {}))
    assert len(layers) > 1
    holding = {name: layer for layer in layers for name in layer}
    for word in words:
        assert len({holding[name] for name in names if name.startswith(f"python:{word}")}) == 1


@pytest.mark.parametrize("prefix", ["source:company/", "python:company-", "files:company-"])
def test_one_beginning_does_not_make_one_layer_of_everything(prefix: str) -> None:
    names = [f"{prefix}{number}" for number in range(20 * PER_LAYER)]
    layers = plan(Graph([ImageObject(name, "", 9_000) for name in names], {}))
    assert len(layers) >= 15
    assert max(map(len, layers)) < 3 * PER_LAYER


@pytest.mark.parametrize("seed", range(10))
def test_one_more_small_object_moves_few(seed: int) -> None:
    graph = random_graph(seed, 200)
    before = plan(graph)
    more = Graph([*graph.objects.values(), ImageObject("python:new-one", "1", 100)], {})
    after = [tuple(n for n in layer if n != "python:new-one") for layer in plan(more)]
    moved = [n for layer in after for n in layer if layer not in before]
    largest_share = len(graph) // 4
    assert len(moved) <= largest_share


def test_one_more_large_object_displaces_at_most_one_where_the_budget_is_short() -> None:
    names = [f"python:w{n}" for n in range(60)]
    objects = [ImageObject(name, "1", 5_000_000) for name in names]
    before = plan(Graph(objects, {}), 40)
    alone = {layer for layer in before if len(layer) == 1}
    after = plan(Graph([*objects, ImageObject("python:new", "1", 5_000_000)], {}), 40)
    assert len(alone - set(after)) <= 1


def test_objects_in_a_circle_stay_together() -> None:
    objects = [ImageObject(name, "1", 5_000_000) for name in ("debian:a", "debian:b")]
    circle = Graph(objects, {"debian:a": ["debian:b"], "debian:b": ["debian:a"]})
    assert plan(circle) == [("debian:a", "debian:b")]
