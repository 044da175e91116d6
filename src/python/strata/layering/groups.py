"""Names of objects, chosen by pattern, and the explicit groups made of them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Dict, List, Mapping, Sequence, Tuple

from strata.errors import StrataError
from strata.model import Graph

#: What stands for several objects: in Pants the addresses of targets, by what can be written.
Aliases = Mapping[str, Sequence[str]]


def matching(graph: Graph, pattern: str, aliases: Aliases) -> List[str]:
    """The objects of ``graph`` that ``pattern`` means: a name, a shell pattern of names, or one of
    ``aliases``. None for a name that no object has.

    Raises StrataError for an address (with a leading ``//`` or ``:``) that is no alias.
    """
    if pattern in graph.objects:
        return [pattern]
    if pattern in aliases:
        return [name for name in aliases[pattern] if name in graph.objects]
    if pattern.startswith(("//", ":")):
        known = ", ".join(sorted(alias for alias in aliases if alias.startswith("//")))
        raise StrataError(f"{pattern} is no address of anything in the image; there are {known}")
    return [name for name in graph.objects if fnmatchcase(name, pattern)]


def explicit_groups(
    graph: Graph, groups: Mapping[str, Sequence[str]], aliases: Aliases
) -> List[Tuple[str, Tuple[str, ...]]]:
    """Each group's name and members, in the order of the names.

    Raises StrataError for a pattern that matches nothing and for an object in two groups.
    """
    owner: Dict[str, str] = {}
    result = []
    for group, patterns in sorted(groups.items()):
        members = []
        for pattern in patterns:
            try:
                found = matching(graph, pattern, aliases)
            except StrataError as error:
                raise StrataError(f"the group {group!r}: {error}") from None
            if not found:
                raise StrataError(
                    f"the pattern {pattern!r} of the group {group!r} matches no object of the image"
                )
            for name in found:
                if owner.setdefault(name, group) != group:
                    raise StrataError(
                        f"{name} is in both of the groups {owner[name]!r} and {group!r}; take it "
                        "out of one"
                    )
                if name not in members:
                    members.append(name)
        if members:
            result.append((group, tuple(sorted(members))))
    return result


def without(graph: Graph, names: Sequence[str]) -> Graph:
    """``graph`` without the objects ``names``. What they alone connected stays connected, so that
    taking a group out does not change what the rest is worth."""
    gone = set(names)
    references: Dict[str, List[str]] = {}
    for name in graph.objects:
        if name in gone:
            continue
        found: List[str] = []
        pending = list(graph.references[name])
        seen = set(pending)
        while pending:
            target = pending.pop()
            if target not in gone:
                found.append(target)
                continue
            for further in graph.references[target]:
                if further not in seen:
                    seen.add(further)
                    pending.append(further)
        references[name] = found
    return Graph((item for name, item in graph.objects.items() if name not in gone), references)
