"""The default strategy: layers that stay put.

What changes seldom lies below what changes often, and who shares a layer with whom is decided by
names: a new version of one object moves no other. ``docs/layering.md`` argues for the numbers.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from typing import Dict, List, Mapping, Sequence, Tuple

from strata.model import Graph

#: An object of at least this many bytes has a layer of its own while the budget lasts.
FLOOR = 1 << 20
#: Smaller objects share layers, about this many to one.
PER_BUCKET = 12
_INTERPRETER = re.compile(r"debian:(lib)?python3(\.\d+)?(-.*)?")
TIERS = ("Debian packages", "the interpreter", "third-party objects", "first-party code")

_Unit = Tuple[str, ...]


def stable(graph: Graph, limit: int, popularity: Mapping[str, int]) -> List[Tuple[_Unit, str]]:
    """Groups with the reason for each, at most ``limit``, the bottom one first.

    ``popularity`` says how many images of the repository have an object; objects that it does not
    name count once. ``limit`` must be at least the number of tiers in the graph.
    """
    tiers: Dict[int, List[_Unit]] = defaultdict(list)
    for unit in graph.components():
        tiers[max(tier_of(graph, name) for name in unit)].append(unit)
    large: Dict[int, List[_Unit]] = {}
    small: Dict[int, List[_Unit]] = {}
    for tier, units in tiers.items():
        large[tier] = [unit for unit in units if _size(graph, unit) >= FLOOR]
        small[tier] = [unit for unit in units if _size(graph, unit) < FLOOR]
    buckets = {tier: _bucket_count(len(units)) for tier, units in small.items()}
    slots = {tier: len(units) for tier, units in large.items()}
    _fit(slots, buckets, limit)
    for tier in tiers:
        if small[tier] and not buckets[tier]:
            large[tier] += small.pop(tier)
            small[tier] = []

    result: List[Tuple[_Unit, str]] = []
    for tier in sorted(tiers):
        layers = [
            (units, f"large: {TIERS[tier]} get layers of their own")
            if len(units) == 1
            else (units, f"{TIERS[tier]}, together because the budget is {limit} layers")
            for units in _spread(large[tier], slots[tier])
        ]
        layers += [(units, f"small {TIERS[tier]}") for units in _spread(small[tier], buckets[tier])]
        keyed = [(_key(graph, units, popularity), units, reason) for units, reason in layers]
        for _, units, reason in sorted(keyed):
            result.append((tuple(sorted(name for unit in units for name in unit)), reason))
    return result


def tier_of(graph: Graph, name: str) -> int:
    """How volatile an object is by its kind: an index into ``TIERS``."""
    if graph.objects[name].first_party:
        return 3
    if _INTERPRETER.fullmatch(name):
        return 1
    return 0 if graph.objects[name].kind == "debian" else 2


def _size(graph: Graph, unit: _Unit) -> int:
    return sum(graph.objects[name].size for name in unit)


def _bucket_count(objects: int) -> int:
    """A power of two, so that a growing repository splits layers and reshuffles none.

    It depends on how many objects there are and not on their sizes: those change with versions.
    """
    count = 1
    while count * PER_BUCKET < objects:
        count *= 2
    return count if objects else 0


def _fit(slots: Dict[int, int], buckets: Dict[int, int], limit: int) -> None:
    """Takes layers away until ``limit`` suffices, from where there are most."""
    while sum(slots.values()) + sum(buckets.values()) > limit:
        tier = max(buckets, key=lambda t: (buckets[t], t))
        if buckets[tier] > 1:
            buckets[tier] //= 2
            continue
        tier = max(slots, key=lambda t: (slots[t], t))
        if slots[tier] > 1:
            slots[tier] -= 1
            continue
        # One layer of either kind is left in each tier: the small join the large.
        tier = next(t for t in sorted(slots) if slots[t] and buckets[t])
        buckets[tier] = 0


def _spread(units: Sequence[_Unit], count: int) -> List[List[_Unit]]:
    """``units`` in at most ``count`` layers, chosen by their names' hashes."""
    if len(units) <= count:
        return [[unit] for unit in units]
    layers: Dict[int, List[_Unit]] = defaultdict(list)
    for unit in units:
        layers[_hash(unit[0]) % count].append(unit)
    return list(layers.values())


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _key(
    graph: Graph, units: Sequence[_Unit], popularity: Mapping[str, int]
) -> Tuple[int, int, List[_Unit]]:
    """Where a layer lies in its tier: what most images have, then the largest, at the bottom.

    When a layer changes, whoever has the old image fetches it and all above: with equal odds of
    change it is cheapest to have the heavy ones below. Sizes count in powers of four, so that
    they reorder nothing as versions change.
    """
    names = [name for unit in units for name in unit]
    images = max(popularity.get(name, 1) for name in names)
    magnitude = sum(graph.objects[name].size for name in names).bit_length() // 2
    return -images, -magnitude, sorted(units)
