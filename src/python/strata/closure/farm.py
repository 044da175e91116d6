"""The symlink farm: one link per directory that a single object owns.

Where several objects meet (a namespace package, ``bin``), a real directory holds links to the
parts of each. Objects stay where they are in the store.
"""

from __future__ import annotations

import glob
from typing import Collection, Dict, List, Optional, Sequence, Set

from strata.archive.entry import Entry, directory, symlink
from strata.closure.listing import ListedPath, Listing
from strata.errors import StrataError


class _Node:
    """A directory of the union of several objects."""

    __slots__ = ("owners", "directories", "files")

    def __init__(self) -> None:
        self.owners: Set[str] = set()
        self.directories: Dict[str, _Node] = {}
        # The owner, and what it says about the content.
        self.files: Dict[str, "tuple[str, str]"] = {}


def link_farm(members: Sequence[Listing], mount: str, real: Collection[str] = ()) -> List[Entry]:
    """Links below ``mount`` to everything in ``members``.

    ``real`` are paths below ``mount`` that are made real directories even where one object owns
    them. Raises StrataError where two objects own one path, naming both and the path.
    """
    roots = {member.name: member.root for member in members}
    top = _Node()
    for member in sorted(members, key=lambda m: m.name):
        for listed in member.paths:
            _insert(top, member, listed, mount)
    entries: List[Entry] = []
    _emit(top, mount, "", roots, frozenset(real), entries)
    return entries


def _insert(top: _Node, member: Listing, listed: ListedPath, mount: str) -> None:
    owner = member.name
    pattern = glob.escape(f"{member.root}/{listed.path}")
    node = top
    node.owners.add(owner)
    parts = listed.path.split("/")
    folders = parts if listed.is_directory else parts[:-1]
    for depth, part in enumerate(folders):
        if part in node.files:
            path = "/".join(parts[: depth + 1])
            if path != listed.path:
                pattern = glob.escape(f"{member.root}/{path}/") + "*"
            raise collision(f"{mount}/{path}", node.files[part][0], owner, pattern)
        node = node.directories.setdefault(part, _Node())
        node.owners.add(owner)
    if listed.is_directory:
        return
    name = parts[-1]
    if name in node.directories:
        other = min(node.directories[name].owners)
        raise collision(f"{mount}/{listed.path}", other, owner, pattern)
    held = node.files.get(name)
    if held is None:
        node.files[name] = (owner, listed.same)
    elif not _may_share(parts, held[1], listed.same):
        raise collision(f"{mount}/{listed.path}", held[0], owner, pattern)


def _may_share(parts: Sequence[str], held: str, same: str) -> bool:
    if same and same == held:
        return True
    # Bytecode names its source file, so it differs where the sources are equal; if they are not,
    # the sources themselves collide.
    return len(parts) > 1 and parts[-2] == "__pycache__" and parts[-1].startswith("__init__.")


def _emit(
    node: _Node,
    mount: str,
    path: str,
    roots: Dict[str, str],
    real: Collection[str],
    entries: List[Entry],
) -> None:
    prefix = f"{path}/" if path else ""
    for name, (owner, _) in node.files.items():
        entries.append(symlink(f"{mount}/{prefix}{name}", f"/{roots[owner]}/{prefix}{name}"))
    for name, child in node.directories.items():
        below = f"{prefix}{name}"
        only = _only(child)
        if only is not None and below not in real:
            entries.append(symlink(f"{mount}/{below}", f"/{roots[only]}/{below}"))
        else:
            entries.append(directory(f"{mount}/{below}"))
            _emit(child, mount, below, roots, real, entries)


def _only(node: _Node) -> Optional[str]:
    return next(iter(node.owners)) if len(node.owners) == 1 else None


def collision(path: str, first: str, second: str, pattern: str = "") -> StrataError:
    """The error for two owners of one path, with the way out.

    ``pattern`` means what the second owner contains, if that is not at ``path``. Only objects,
    whose names start with their kind (``python:numpy``), can leave something out.
    """
    message = f"{first} and {second} both contain /{path}."
    objects = [name for name in (second, first) if ":" in name]
    if not objects:
        return StrataError(f"{message} Move or rename one of the two.")
    who = "one of them" if len(objects) == 2 else objects[0]
    return StrataError(
        f"{message} If {who} can do without it, say so on the layered_image: "
        f'omit_paths={{"{objects[0]}": ["{pattern or glob.escape(path)}"]}}'
    )
