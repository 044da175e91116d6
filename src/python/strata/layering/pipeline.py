"""Layering pipelines: the operations of Nix' ``flatten_references_graph``, as plain data.

A step is a list: the operation's name and its arguments, ``["limit_layers", 20]``. The datum that
flows through is a graph, a list or a dict of such; at the end it is flattened, and each graph is a
layer. Objects are named by patterns. Differences from upstream are listed in
``docs/dockertools.md``.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Sequence, Set, Tuple, Union

from strata.errors import StrataError
from strata.layering.groups import matching
from strata.layering.popularity import popularity
from strata.model import Graph

#: The names of a graph's objects; references are those of the whole image among them.
Names = FrozenSet[str]
# A list of data or a dict of data, nested as deep as the steps make it.
Datum = Union[Names, List[Any], Dict[str, Any]]


def run_pipeline(graph: Graph, steps: Sequence[Any]) -> List[Tuple[str, ...]]:
    """The groups that ``steps`` make, the bottom one first. Raises StrataError for a step that is
    unknown, has wrong arguments or does not fit what the step before it made."""
    run = _Pipeline(graph)
    result = run.pipe(frozenset(graph.objects), steps, "layering")
    return [run.ordered(names) for names in _flat(result) if names]


def _flat(datum: Datum) -> List[Names]:
    if isinstance(datum, frozenset):
        return [datum]
    values = datum.values() if isinstance(datum, dict) else datum
    return [names for value in values for names in _flat(value)]


class _Pipeline:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._operations: Dict[str, Tuple[int, Callable[..., Datum]]] = {
            "popularity_contest": (0, self._popularity_contest),
            "limit_layers": (1, self._limit_layers),
            "split_paths": (1, self._split_paths),
            "subcomponent_in": (1, self._subcomponent_in),
            "subcomponent_out": (1, self._subcomponent_out),
            "over": (2, self._over),
            "map": (1, self._map),
            "pipe": (1, self._pipe),
            "flatten": (0, self._flatten),
            "split_every": (1, self._split_every),
            "remove_paths": (1, self._remove_paths),
            "reverse": (0, self._reverse),
        }

    def pipe(self, datum: Datum, steps: Sequence[Any], where: str) -> Datum:
        for index, step in enumerate(steps):
            datum = self._apply(datum, step, f"{where}[{index}]")
        return datum

    def ordered(self, names: Names) -> Tuple[str, ...]:
        return tuple(sorted(names))

    def _apply(self, datum: Datum, step: Any, where: str) -> Datum:
        if isinstance(step, str):
            step = [step]
        if not isinstance(step, (list, tuple)) or not step or not isinstance(step[0], str):
            raise StrataError(
                f"{where}: a step is a list such as ['limit_layers', 20], not {step!r}"
            )
        name, *arguments = step
        if name not in self._operations:
            known = ", ".join(sorted(self._operations))
            raise StrataError(f"{where}: unknown operation {name!r}; the operations are {known}")
        count, operation = self._operations[name]
        if len(arguments) != count:
            raise StrataError(f"{where}: {name!r} takes {count} arguments, not {len(arguments)}")
        return operation(datum, *arguments, f"{where} ({name})")

    # -- what each operation takes ---------------------------------------------------------------

    def _names(self, datum: Datum, where: str) -> Names:
        if not isinstance(datum, frozenset):
            raise StrataError(f"{where} needs a graph; use it inside 'map' or 'over'")
        return datum

    def _list(self, datum: Datum, where: str) -> List[Any]:
        if not isinstance(datum, list):
            raise StrataError(f"{where} needs a list; put 'popularity_contest' or 'flatten' before")
        return datum

    def _number(self, value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise StrataError(f"{where}: the argument must be a positive number, not {value!r}")
        return int(value)

    def _selected(self, names: Names, value: Any, where: str) -> Set[str]:
        """The objects among ``names`` that ``value`` means: patterns, or the children of some."""
        if isinstance(value, Mapping):
            if set(value) != {"children_of"}:
                raise StrataError(f"{where}: the only key is 'children_of', not {sorted(value)}")
            parents = self._selected(names, value["children_of"], where)
            return {t for parent in parents for t in self._graph.references[parent]} & names
        patterns = [value] if isinstance(value, str) else value
        if not isinstance(patterns, (list, tuple)) or not all(
            isinstance(pattern, str) for pattern in patterns
        ):
            raise StrataError(f"{where}: the argument must be object patterns, not {value!r}")
        return set(matching(self._graph, patterns)) & names

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

    def _limit_layers(self, datum: Datum, count: Any, where: str) -> Datum:
        layers = self._list(datum, where)
        limit = self._number(count, where)
        if len(layers) <= limit:
            return layers
        rest = frozenset(name for layer in layers[limit - 1 :] for n in _flat(layer) for name in n)
        return [*layers[: limit - 1], rest]

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

    def _over(self, datum: Datum, key: Any, step: Any, where: str) -> Datum:
        if not isinstance(datum, dict):
            raise StrataError(f"{where} needs a dict; put 'split_paths' or 'subcomponent_…' before")
        if key not in datum:
            raise StrataError(f"{where}: there is no {key!r}; there are {', '.join(sorted(datum))}")
        return {k: self._apply(v, step, where) if k == key else v for k, v in datum.items()}

    def _map(self, datum: Datum, step: Any, where: str) -> Datum:
        return [self._apply(item, step, where) for item in self._list(datum, where)]

    def _pipe(self, datum: Datum, steps: Any, where: str) -> Datum:
        if not isinstance(steps, (list, tuple)):
            raise StrataError(f"{where}: the argument must be a list of steps, not {steps!r}")
        return self.pipe(datum, steps, where)

    def _flatten(self, datum: Datum, where: str) -> Datum:
        return list(_flat(datum))

    def _split_every(self, datum: Datum, count: Any, where: str) -> Datum:
        size = self._number(count, where)
        # Upstream takes vertices in the order of their size.
        names = sorted(
            self._names(datum, where), key=lambda name: (self._graph.objects[name].size, name)
        )
        return [frozenset(names[i : i + size]) for i in range(0, len(names), size)]

    def _remove_paths(self, datum: Datum, paths: Any, where: str) -> Datum:
        names = self._names(datum, where)
        return names - self._selected(names, paths, where)

    def _reverse(self, datum: Datum, where: str) -> Datum:
        return list(reversed(self._list(datum, where)))
