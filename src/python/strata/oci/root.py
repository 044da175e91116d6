"""What lies where in an image's root, as its layers leave it.

Layers are applied by the OCI image specification, "Image Layer Filesystem Changeset". Only
directories and links are of interest: an image on top of this one must neither hide a link that
leads to a folder nor change the mode of a folder that it only passes through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
#: Linux follows as many links in one path (path_resolution(7)).
_MOST_LINKS = 40


@dataclass
class _Node:
    """``target`` is a symbolic link's text; directories have ``children``, and nothing else has."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    target: str = ""
    children: Optional[Dict[str, "_Node"]] = None


@dataclass(frozen=True)
class LayerMember:
    """One member of a layer: its ``path`` as the archive has it, and whether it is a directory, a
    link (with its ``target``) or something else."""

    path: str
    is_directory: bool = False
    target: str = ""
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class ImageRoot:
    """Directories and links of a root, by path without a leading slash.

    ``links`` leads from a symbolic link to the directory it means. ``directories`` has mode, owner
    and group of those that are not 0755 and root's. ``top`` says of each name at the root whether
    it is a ``directory`` or something ``other``.
    """

    links: Mapping[str, str] = field(default_factory=dict)
    directories: Mapping[str, Tuple[int, int, int]] = field(default_factory=dict)
    top: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Dict[str, Any]:
        return {"links": self.links, "directories": self.directories, "top": self.top}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ImageRoot":
        directories = {path: (row[0], row[1], row[2]) for path, row in data["directories"].items()}
        return cls(data["links"], directories, data["top"])


class RootBuilder:
    """Applies layers to each other, the bottom one first."""

    def __init__(self) -> None:
        self._root = _Node(children={})

    def apply(self, members: Iterable[LayerMember]) -> None:
        """Applies a whole layer. Whiteouts mean lower layers only, wherever they stand in it."""
        added: List[LayerMember] = []
        for member in members:
            parts = [part for part in member.path.split("/") if part not in ("", ".")]
            if not parts or ".." in parts:
                continue
            name = parts[-1]
            if name == _OPAQUE:
                self._clear(parts[:-1])
            elif name.startswith(_WHITEOUT):
                parent = self._find(parts[:-1])
                if parent is not None and parent.children is not None:
                    parent.children.pop(name[len(_WHITEOUT) :], None)
            else:
                added.append(member)
        for member in added:
            self._add(member)

    def _clear(self, parts: List[str]) -> None:
        node = self._find(parts)
        if node is not None and node.children is not None:
            node.children.clear()

    def _add(self, member: LayerMember) -> None:
        parts = [part for part in member.path.split("/") if part not in ("", ".")]
        parent = self._find(parts[:-1], create=True)
        if parent is None or parent.children is None:
            return
        held = parent.children.get(parts[-1])
        children: Optional[Dict[str, _Node]] = None
        if member.is_directory:
            children = held.children if held and held.children is not None else {}
        parent.children[parts[-1]] = _Node(
            member.mode, member.uid, member.gid, member.target, children
        )

    def _find(self, parts: List[str], create: bool = False) -> Optional[_Node]:
        found = self._resolve(parts, create)
        return found[1] if found else None

    def _resolve(
        self, parts: Iterable[str], create: bool = False
    ) -> Optional[Tuple[List[str], _Node]]:
        """Where a path leads, all links followed: its parts without links, and what is there."""
        left = list(reversed(list(parts)))
        way: List[Tuple[str, _Node]] = []
        links = 0
        while left:
            part = left.pop()
            node = way[-1][1] if way else self._root
            if part in ("", "."):
                continue
            if part == "..":
                # The root's parent is the root.
                if way:
                    way.pop()
                continue
            if node.children is None:
                return None
            child = node.children.get(part)
            if child is None:
                if not create:
                    return None
                child = node.children[part] = _Node(children={})
            if child.target:
                links += 1
                if links > _MOST_LINKS:
                    return None
                if child.target.startswith("/"):
                    way.clear()
                left.extend(reversed(child.target.split("/")))
            else:
                way.append((part, child))
        return [name for name, _ in way], way[-1][1] if way else self._root

    def finished(self) -> ImageRoot:
        links: Dict[str, str] = {}
        directories: Dict[str, Tuple[int, int, int]] = {}
        for path, node in _walk(self._root, ""):
            if node.target:
                found = self._resolve(path.split("/"))
                if found is not None and found[1].children is not None:
                    links[path] = "/".join(found[0])
            elif node.children is not None and (node.mode, node.uid, node.gid) != (0o755, 0, 0):
                directories[path] = (node.mode, node.uid, node.gid)
        top = {
            name: "other" if node.children is None else "directory"
            for name, node in (self._root.children or {}).items()
        }
        return ImageRoot(links, directories, top)


def _walk(node: _Node, prefix: str) -> Iterator[Tuple[str, _Node]]:
    stack = [(prefix, node)]
    while stack:
        above, folder = stack.pop()
        for name, child in sorted((folder.children or {}).items()):
            path = f"{above}/{name}" if above else name
            yield path, child
            if child.children is not None:
                stack.append((path, child))
