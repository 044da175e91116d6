"""Layering pipelines: the operations of Nix' ``flatten_references_graph``, as plain data.

A step is a list: the operation's name and its arguments, ``["limit_layers", 20]``. The datum that
flows through is a graph, a list or a dict of such; at the end it is flattened, and each graph is a
layer. Objects are named by patterns. Differences from upstream are listed in
``docs/dockertools.md``.
"""

from __future__ import annotations

from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from strata.errors import StrataError
from strata.layering.groups import Aliases, matching
from strata.layering.pipeline_steps import read_step
from strata.layering.popularity import popularity
from strata.model import Graph

#: The names of a graph's objects; references are those of the whole image among them.
Names = FrozenSet[str]
# A list of data or a dict of data, nested as deep as the steps make it.
Datum = Union[Names, List[Any], Dict[str, Any]]


def run_pipeline(
    graph: Graph, steps: Sequence[Any], aliases: Optional[Aliases] = None
) -> List[Tuple[str, ...]]:
    """The groups that ``steps`` make, the bottom one first. Raises StrataError, naming the step, if
    one is unknown, has wrong arguments or does not fit what the step before it made."""
    run = _Pipeline(graph, aliases or {})
    result = run.pipe(frozenset(graph.objects), steps, "layering")
    return [tuple(sorted(names)) for names in _flat(result) if names]


def _flat(datum: Datum) -> List[Names]:
    if isinstance(datum, frozenset):
        return [datum]
    values = datum.values() if isinstance(datum, dict) else datum
    return [names for value in values for names in _flat(value)]


class _Pipeline:
    def __init__(self, graph: Graph, aliases: Aliases) -> None:
        self._graph = graph
        self._aliases = aliases
        self._operations: Dict[str, Callable[..., Datum]] = {
            "popularity_contest": self._popularity_contest,
            "limit_layers": self._limit_layers,
            "split_paths": self._split_paths,
            "subcomponent_in": self._subcomponent_in,
            "subcomponent_out": self._subcomponent_out,
            "over": self._over,
            "map": self._map,
            "pipe": self.pipe,
            "flatten": self._flatten,
            "split_every": self._split_every,
            "remove_paths": self._remove_paths,
            "reverse": self._reverse,
        }

    def pipe(self, datum: Datum, steps: Sequence[Any], where: str) -> Datum:
        for index, step in enumerate(steps):
            datum = self._apply(datum, step, f"{where}[{index}]")
        return datum

    def _apply(self, datum: Datum, step: Any, where: str) -> Datum:
        name, arguments = read_step(step, where)
        return self._operations[name](datum, *arguments, f"{where} ({name})")

    # -- what each operation takes ---------------------------------------------------------------

    def _names(self, datum: Datum, where: str) -> Names:
        if not isinstance(datum, frozenset):
            kind = "dict" if isinstance(datum, dict) else "list"
            raise StrataError(f"{where} needs a graph, not a {kind}; use it in 'map' or 'over'")
        return datum

    def _list(self, datum: Datum, where: str) -> List[Any]:
        if not isinstance(datum, list):
            kind = "dict" if isinstance(datum, dict) else "graph"
            raise StrataError(
                f"{where} needs a list, not a {kind}; put 'popularity_contest' or 'flatten' before"
            )
        return datum

    def _selected(self, names: Names, paths: Any, where: str) -> Set[str]:
        """The objects among ``names`` that ``paths`` means: patterns, or the children of some."""
        found: Set[str] = set()
        for item in paths if isinstance(paths, (list, tuple)) else [paths]:
            if isinstance(item, Mapping):
                for parent in self._selected(names, item["children_of"], where):
                    found.update(self._graph.references[parent])
                continue
            try:
                found.update(matching(self._graph, item, self._aliases))
            except StrataError as error:
                raise StrataError(f"{where}: {error}") from None
        return found & names

    def _reach(self, starts: Set[str], among: Set[str], backwards: bool = False) -> Set[str]:
        """``starts`` and what is below (or above) them, without leaving ``among``."""
        edges: Mapping[str, Sequence[str]] = self._graph.references
        if backwards:
            users: Dict[str, List[str]] = {name: [] for name in among}
            for name in among:
                for target in self._graph.references[name]:
                    if target in among:
                        users[target].append(name)
            edges = users
        found = set(starts)
        pending = list(starts)
        while pending:
            for target in edges[pending.pop()]:
                if target in among and target not in found:
                    found.add(target)
                    pending.append(target)
        return found

    # -- the operations --------------------------------------------------------------------------

    def _popularity_contest(self, datum: Datum, where: str) -> Datum:
        names = self._names(datum, where)
        part = Graph(
            (self._graph.objects[name] for name in names),
            {n: [t for t in self._graph.references[n] if t in names] for n in names},
        )
        return [frozenset(unit) for unit, _ in popularity(part)]

    def _limit_layers(self, datum: Datum, count: int, where: str) -> Datum:
        layers = self._list(datum, where)
        if len(layers) <= count:
            return layers
        rest = frozenset(name for layer in layers[count - 1 :] for n in _flat(layer) for name in n)
        return [*layers[: count - 1], rest]

    def _split_paths(self, datum: Datum, paths: Any, where: str) -> Datum:
        names = self._names(datum, where)
        listed = self._selected(names, paths, where)
        if not listed:
            return {"rest": names}
        closure = self._reach(listed, set(names))
        outside = set(names) - closure
        shared = (self._reach(outside, set(names) - listed) & closure) - listed
        parts = {"main": closure - shared, "common": shared, "rest": outside}
        return {key: frozenset(part) for key, part in parts.items() if part}

    def _subcomponent_out(self, datum: Datum, paths: Any, where: str) -> Datum:
        names = self._names(datum, where)
        return self._split(names, self._reach(self._selected(names, paths, where), set(names)))

    def _subcomponent_in(self, datum: Datum, paths: Any, where: str) -> Datum:
        names = self._names(datum, where)
        chosen = self._selected(names, paths, where)
        return self._split(names, self._reach(chosen, set(names), backwards=True))

    def _split(self, names: Names, main: Set[str]) -> Datum:
        parts = {"main": frozenset(main), "rest": names - main}
        return {key: part for key, part in parts.items() if part}

    def _over(self, datum: Datum, key: str, step: Any, where: str) -> Datum:
        if not isinstance(datum, dict):
            kind = "graph" if isinstance(datum, frozenset) else "list"
            raise StrataError(
                f"{where} needs a dict, not a {kind}; put 'split_paths' or 'subcomponent_…' before"
            )
        if key not in datum:
            raise StrataError(
                f"{where}: key {key!r} is not there; there are {', '.join(sorted(datum))}"
            )
        return {
            k: self._apply(v, step, f"{where} {key}") if k == key else v for k, v in datum.items()
        }

    def _map(self, datum: Datum, step: Any, where: str) -> Datum:
        return [self._apply(item, step, where) for item in self._list(datum, where)]

    def _flatten(self, datum: Datum, where: str) -> Datum:
        return list(_flat(datum))

    def _split_every(self, datum: Datum, count: int, where: str) -> Datum:
        # Upstream takes vertices in the order of their size.
        names = sorted(
            self._names(datum, where), key=lambda name: (self._graph.objects[name].size, name)
        )
        return [frozenset(names[i : i + count]) for i in range(0, len(names), count)]

    def _remove_paths(self, datum: Datum, paths: Any, where: str) -> Datum:
        names = self._names(datum, where)
        return names - self._selected(names, paths, where)

    def _reverse(self, datum: Datum, where: str) -> Datum:
        return list(reversed(self._list(datum, where)))
