"""Objects, references and the closure graph they form.

An object is the smallest thing that is placed in a layer as a whole; a reference says that one
object needs another at run time. A plan is decided from names, sizes and references only, never
from content hashes, so that a new version of one object moves no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Tuple

from strata.errors import StrataError


@dataclass(frozen=True, order=True)
class ImageObject:
    """One member of an image.

    ``name`` is unique in an image and carries its kind as a prefix (``python:numpy``,
    ``debian:libc6``, ``source:web``). ``size`` is in bytes and counts what the object unpacks to,
    as far as it is known before it is unpacked.
    """

    name: str
    version: str = ""
    size: int = 0
    first_party: bool = False

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]


class Graph:
    """An immutable closure graph: objects by name, and for each the names it refers to."""

    def __init__(
        self, objects: Iterable[ImageObject], references: Mapping[str, Iterable[str]]
    ) -> None:
        """Raises StrataError for a name that occurs twice and for a reference to a stranger."""
        self.objects: Dict[str, ImageObject] = {}
        for item in sorted(objects, key=lambda o: o.name):
            if item.name in self.objects:
                raise StrataError(f"two different objects are named {item.name!r}")
            self.objects[item.name] = item
        self.references: Dict[str, Tuple[str, ...]] = {}
        for name in self.objects:
            targets = sorted(set(references.get(name, ())) - {name})
            for target in targets:
                if target not in self.objects:
                    raise StrataError(f"{name} refers to {target!r}, which is not in the image")
            self.references[name] = tuple(targets)

    def __len__(self) -> int:
        return len(self.objects)

    def components(self) -> List[Tuple[str, ...]]:
        """The strongly connected components, each sorted by name, referred-to ones first.

        Objects that refer to each other in a circle (``libc6`` and ``libgcc-s1`` do) are one
        component: none of them is of use without the others. Tarjan's algorithm, iterative.
        """
        index: Dict[str, int] = {}
        low: Dict[str, int] = {}
        on_stack: Dict[str, bool] = {}
        stack: List[str] = []
        result: List[Tuple[str, ...]] = []
        for root in self.objects:
            if root in index:
                continue
            work = [(root, iter(self.references[root]))]
            index[root] = low[root] = len(index)
            stack.append(root)
            on_stack[root] = True
            while work:
                node, targets = work[-1]
                for target in targets:
                    if target not in index:
                        index[target] = low[target] = len(index)
                        stack.append(target)
                        on_stack[target] = True
                        work.append((target, iter(self.references[target])))
                        break
                    if on_stack[target]:
                        low[node] = min(low[node], index[target])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == index[node]:
                        members = []
                        while True:
                            member = stack.pop()
                            on_stack[member] = False
                            members.append(member)
                            if member == node:
                                break
                        result.append(tuple(sorted(members)))
        return result
