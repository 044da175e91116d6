"""The default strategy: layers that stay put.

What changes seldom lies below what changes often, and who shares a layer with whom is decided by
names: a new version of one object moves no other. ``docs/layering.md`` argues for the numbers.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from typing import Dict, List, Mapping, Sequence, Set, Tuple

from strata.layering.reach import Unit
from strata.model import Graph

#: An object of at least this many bytes has a layer of its own while the budget lasts.
FLOOR = 1 << 18
#: Smaller objects share layers, about this many to one.
PER_LAYER = 12
#: Fewer small objects than this that the same images have are not worth a layer.
FEW = 4
TIERS = ("Debian packages", "the interpreter", "third-party objects", "first-party code")
_INTERPRETER = re.compile(r"debian:(lib)?python3(\.\d+)?(-.*)?")
_WITH_FAMILIES = ("debian", "python")
_FAMILY = re.compile(r"[^:]*:(?:lib)?([a-z]*)")

#: For each object the images that have it, by name.
Images = Mapping[str, Sequence[str]]


def stable(graph: Graph, limit: int, images: Images) -> List[Tuple[Tuple[str, ...], str]]:
    """Groups with the reason for each, at most ``limit`` (at least 1), the bottom one first.

    ``images`` may be empty; then nothing is known of other images.
    """
    return _Stable(graph, limit, images).layers()


def tier_of(graph: Graph, name: str) -> int:
    """How volatile an object is by its kind: an index into ``TIERS``."""
    if graph.objects[name].first_party:
        return 3
    if _INTERPRETER.fullmatch(name):
        return 1
    return 0 if graph.objects[name].kind == "debian" else 2


class _Stable:
    def __init__(self, graph: Graph, limit: int, images: Images) -> None:
        self._limit = limit
        self._images = images
        self._sizes: Dict[Unit, int] = {}
        tiers: Dict[int, List[Unit]] = defaultdict(list)
        for unit in graph.components():
            self._sizes[unit] = sum(graph.objects[name].size for name in unit)
            tiers[max(tier_of(graph, name) for name in unit)].append(unit)
        self._tiers = _merged(tiers, limit)
        self._labels = {
            tier: TIERS[tier] if len(units) == len(tiers[tier]) else "objects of several kinds"
            for tier, units in self._tiers.items()
        }

    def layers(self) -> List[Tuple[Tuple[str, ...], str]]:
        alone, per_layer, few = self._fitting()
        result: List[Tuple[Tuple[str, ...], str]] = []
        for tier, units in sorted(self._tiers.items()):
            layers = [
                ([unit], f"large, of {self._labels[tier]}") for unit in units if unit in alone
            ]
            rest = [unit for unit in units if unit not in alone]
            for cluster, reason in self._clusters(rest, few):
                layers += [
                    (members, f"small, of {self._labels[tier]}{reason}")
                    for members in _spread(cluster, per_layer)
                ]
            for members, reason in sorted(layers, key=lambda layer: self._place(layer[0])):
                result.append((tuple(sorted(n for unit in members for n in unit)), reason))
        return result

    def _fitting(self) -> Tuple[Set[Unit], int, int]:
        """Which units have layers of their own, and the numbers to share the others out by."""
        # Sizes count in powers of four, so that few new versions change the order.
        large = sorted(
            (unit for unit, size in self._sizes.items() if size >= FLOOR),
            key=lambda unit: (-_magnitude(self._sizes[unit]), unit),
        )
        slots, per_layer, few = len(large), PER_LAYER, FEW
        while True:
            alone = set(large[:slots])
            shared = sum(
                -(-len(cluster) // per_layer)
                for units in self._tiers.values()
                for cluster, _ in self._clusters([u for u in units if u not in alone], few)
            )
            if len(alone) + shared <= self._limit:
                return alone, per_layer, few
            if shared > max(len(self._tiers), self._limit // 2):
                per_layer *= 2
                few *= 2
            else:
                slots = self._limit - shared

    def _clusters(self, units: Sequence[Unit], few: int) -> List[Tuple[List[Unit], str]]:
        """Units that the same images have, and all others together."""
        if not units:
            return []
        if not self._images:
            return [(list(units), "")]
        found: Dict[Tuple[str, ...], List[Unit]] = defaultdict(list)
        for unit in units:
            found[self._holders(unit)].append(unit)
        result = []
        others: List[Unit] = []
        for holders, members in sorted(found.items()):
            if len(members) < few:
                others += members
            else:
                result.append((members, f" that the same {len(holders)} images have"))
        return [*result, (others, " that few share")] if others else result

    def _holders(self, unit: Unit) -> Tuple[str, ...]:
        return tuple(sorted({image for name in unit for image in self._images.get(name, ())}))

    def _place(self, members: Sequence[Unit]) -> Tuple[int, int, List[Unit]]:
        """Where a layer lies in its tier: the heaviest at the bottom, then what most images have.

        When a layer changes, whoever has the old image fetches it and all above. With equal odds of
        change for each object it is cheapest to have those with the most bytes to an object below.
        """
        holders = {self._holders(unit) for unit in members}
        # What not all have alike is the same layer in few images, or in none but this.
        images = len(holders.pop()) if len(holders) == 1 else 0
        mean = sum(self._sizes[unit] for unit in members) // len(members)
        return -_magnitude(mean), -images, sorted(members)


def _merged(tiers: Mapping[int, List[Unit]], limit: int) -> Dict[int, List[Unit]]:
    """``tiers`` as they are, or the lowest ones in one where there are more than ``limit``."""
    result: Dict[int, List[Unit]] = {}
    excess = len(tiers) - limit
    present = sorted(tiers)
    for place, tier in enumerate(present):
        result.setdefault(present[max(place, excess)], []).extend(tiers[tier])
    return result


def _magnitude(size: int) -> int:
    return size.bit_length() // 2


def _spread(units: Sequence[Unit], per_layer: int) -> List[List[Unit]]:
    """``units`` in layers of about ``per_layer``, chosen by the families of their names."""
    count = -(-len(units) // per_layer)
    sizes = Counter(_family(unit[0]) for unit in units)
    layers: Dict[int, List[Unit]] = defaultdict(list)
    for unit in units:
        family = _family(unit[0])
        # A family that fills a layer is none: its members are spread by their whole names.
        key = family if sizes[family] <= per_layer else unit[0]
        layers[_jump(_hash(key), count)].append(unit)
    return list(layers.values())


def _family(name: str) -> str:
    """What names of things that are released together begin with: the letters up to the first
    other sign, without ``lib``. First-party code has no families: its folders say nothing of what
    changes together."""
    kind, _, _ = name.partition(":")
    match = _FAMILY.match(name) if kind in _WITH_FAMILIES else None
    return match[1] if match and match[1] else name


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _jump(key: int, count: int) -> int:
    """The place of ``key`` among ``count``. One place more takes its share from all others and
    moves nothing else (Lamping and Veach, "A fast, minimal memory, consistent hash algorithm")."""
    place, following = 0, 0
    while following < count:
        place = following
        key = (key * 2862933555777941757 + 1) & 0xFFFFFFFFFFFFFFFF
        following = ((place + 1) << 31) // ((key >> 33) + 1)
    return place
