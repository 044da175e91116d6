"""What a registry receives, what nodes fetch and what is stored while releases go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, FrozenSet, Iterable, List, Mapping, Sequence, Set, Tuple

from release_history.history import Content, Release
from strata.model import Graph

#: From the closures of all images to each image's layers, the bottom one first.
Planner = Callable[[Mapping[str, Graph]], Mapping[str, Sequence[Tuple[str, ...]]]]
_Blob = FrozenSet[Content]
_Chain = Tuple[_Blob, ...]

#: Compressed bytes in the customisation layer: for itself, and for each object that it links to.
LINKS_FIXED, LINKS_EACH = 1200, 60


@dataclass
class Totals:
    """Bytes are of compressed layers. ``pushed`` is for each release what the registry lacked.
    ``by_chain`` and ``by_blob`` are what nodes fetched that run one image each and had its last
    release, ``by_fleet`` what one node with all images fetched, by chain ID."""

    pushed: List[int] = field(default_factory=list)
    by_chain: List[int] = field(default_factory=list)
    by_blob: List[int] = field(default_factory=list)
    by_fleet: List[int] = field(default_factory=list)
    stored: int = 0
    layers: List[int] = field(default_factory=list)
    changed: List[float] = field(default_factory=list)


class Replay:
    """``has_links`` says whether images have a customisation layer."""

    def __init__(self, planner: Planner, has_links: bool = True) -> None:
        self._planner = planner
        self._has_links = has_links
        self._sizes: Dict[_Blob, int] = {}

    def run(self, history: Sequence[Release]) -> Totals:
        totals = Totals()
        registry: Set[_Blob] = set()
        before: Dict[str, _Chain] = {}
        for release in history:
            images = self._images(release)
            present = {blob for chain in images.values() for blob in chain}
            if before:
                self._count(totals, registry, before, images, present)
            registry |= present
            before = images
        totals.stored = self._bytes(present)
        totals.layers = [len(chain) for chain in images.values()]
        return totals

    def _count(
        self,
        totals: Totals,
        registry: Set[_Blob],
        before: Mapping[str, _Chain],
        images: Mapping[str, _Chain],
        present: Set[_Blob],
    ) -> None:
        totals.pushed.append(self._bytes(present - registry))
        had = {name: set(chain) for name, chain in before.items()}
        changed = [set(chain) - had[name] for name, chain in images.items()]
        totals.by_blob.append(sum(self._bytes(blobs) for blobs in changed))
        totals.changed.append(sum(len(blobs) for blobs in changed) / len(changed))
        totals.by_chain.append(
            sum(self._fetched(chain, prefixes([before[name]])) for name, chain in images.items())
        )
        known = prefixes(before.values())
        fetched = 0
        for chain in images.values():
            fetched += self._fetched(chain, known)
            known |= prefixes([chain])
        totals.by_fleet.append(fetched)

    def _fetched(self, chain: _Chain, known: Set[int]) -> int:
        """The bytes of layers whose chain ID is not ``known``."""
        total = 0
        for identity, blob in zip(chain_ids(chain), chain):
            if identity not in known:
                total += self._sizes[blob]
        return total

    def _bytes(self, blobs: Iterable[_Blob]) -> int:
        return sum(self._sizes[blob] for blob in blobs)

    def _images(self, release: Release) -> Dict[str, _Chain]:
        result = {}
        for name, layers in self._planner(release.images).items():
            chain = []
            for names in layers:
                blob = frozenset(release.contents[n] for n in names)
                self._sizes[blob] = sum(release.packed[n] for n in names)
                chain.append(blob)
            if self._has_links:
                chain.append(self._links(release, name))
            result[name] = tuple(chain)
        return result

    def _links(self, release: Release, image: str) -> _Blob:
        """The customisation layer: its links have the versions of what they point at in them."""
        graph = release.images[image]
        linked = {name: item.version for name, item in graph.objects.items() if _is_linked(name)}
        blob = frozenset({("links", image), *((f"link {n}", v) for n, v in linked.items())})
        self._sizes[blob] = LINKS_FIXED + LINKS_EACH * len(linked)
        return blob


def _is_linked(name: str) -> bool:
    # Debian packages lie at their own paths.
    return not name.startswith("debian:")


def chain_ids(chain: _Chain) -> List[int]:
    ids = []
    identity = 0
    for blob in chain:
        identity = hash((identity, blob))
        ids.append(identity)
    return ids


def prefixes(chains: Iterable[_Chain]) -> Set[int]:
    return {identity for chain in chains for identity in chain_ids(chain)}


def ideal(history: Sequence[Release]) -> Totals:
    """As if every object were its own layer wherever it is, and layers had no order."""
    totals = Totals()
    seen = set(_contents(history[0]))
    for old, new in zip(history, history[1:]):
        size = {content: new.packed[content[0]] for content in _contents(new)}
        totals.pushed.append(sum(size[content] for content in size if content not in seen))
        seen |= set(size)
        pulled = 0
        for image, graph in new.images.items():
            had = {old.contents[name] for name in old.images[image].objects}
            pulled += sum(size[c] for c in (new.contents[n] for n in graph.objects) if c not in had)
        totals.by_blob.append(pulled)
    last = history[-1]
    totals.stored = sum(last.packed[name] for name, _ in _contents(last))
    return totals


def _contents(release: Release) -> Set[Content]:
    return {release.contents[n] for graph in release.images.values() for n in graph.objects}
