"""Listings: what a layer process tells the customisation layer about each object.

A listing holds paths and kinds, no content. So an edit that adds or removes no file leaves every
listing, and with them the customisation layer, as they were.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Tuple

from strata.archive.entry import Entry

#: Two owners of one small ``__init__.py`` are no collision if its content is the same: that is how
#: pkgutil- and pkg_resources-style namespace packages are declared by each of their wheels.
_SHARED_NAME = "__init__.py"


@dataclass(frozen=True)
class ListedPath:
    """``path`` is relative to its listing's root; ``same`` identifies content that may be shared
    by several owners and is empty for everything else. Mode and owner matter for directories, which
    several objects may contain."""

    path: str
    is_directory: bool
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    same: str = ""


@dataclass(frozen=True)
class Listing:
    """The paths of one object below ``root`` (a path in the image, ``""`` for its root).

    ``scripts`` are commands that an application must have in its ``bin``: entry points as
    ``module:attribute``; ``script_files`` are Python scripts with a placeholder interpreter line,
    by name, without that line.
    """

    name: str
    root: str
    paths: Tuple[ListedPath, ...]
    scripts: Dict[str, str] = field(default_factory=dict)
    script_files: Dict[str, str] = field(default_factory=dict)

    def to_json(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "root": self.root,
            "paths": [
                [p.path, int(p.is_directory), p.mode, p.uid, p.gid, p.same] for p in self.paths
            ],
            "scripts": self.scripts,
            "script_files": self.script_files,
        }

    @classmethod
    def from_json(cls, data: Dict[str, Any]) -> "Listing":
        return cls(
            data["name"],
            data["root"],
            tuple(ListedPath(p, bool(d), *rest) for p, d, *rest in data["paths"]),
            data["scripts"],
            data["script_files"],
        )


def listed_paths(
    entries: Iterable[Entry], root: str, hashes: Dict[str, str]
) -> Tuple[ListedPath, ...]:
    """The listing of ``entries``, all of which lie below ``root``.

    ``hashes`` maps an entry's path to the SHA-256 of its content, where that is known.
    """
    skip = len(root) + 1 if root else 0
    result: List[ListedPath] = []
    for entry in entries:
        relative = entry.path[skip:]
        if not relative:
            continue
        same = ""
        if relative.rpartition("/")[2] == _SHARED_NAME:
            same = hashes.get(entry.path, "")
        result.append(
            ListedPath(relative, entry.is_directory, entry.mode, entry.uid, entry.gid, same)
        )
    return tuple(sorted(result, key=lambda p: p.path.encode()))
