"""The image as a root folder: all its layers and, above them, a tree that takes the changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

from strata.namespace import linux
from strata.namespace.difference import View
from strata.namespace.layer_cache import LayerCache, PackedLayer, restore_links
from strata.namespace.overlay import Overlays
from strata.namespace.records import Records
from strata.namespace.root import (
    LentFiles,
    PrivateFolders,
    make_devices,
    mount_points,
    mount_system,
)
from strata.namespace.tools import FOLDER
from strata.namespace.tree import copy_tree

#: Folders that commands have of their own, whatever the image has there.
SYSTEM_FOLDERS = ("proc", "sys", "dev", "tmp", FOLDER)


@dataclass(frozen=True)
class Layers:
    """``packed`` are the lower layers, the bottom one first, and ``tree`` lies above them; what has
    to be made is made in the empty ``folder``. ``records`` are those of the tree, and
    ``new_records`` makes empty ones."""

    packed: Sequence[PackedLayer]
    cache: LayerCache
    tree: Path
    folder: Path
    records: Records
    new_records: Callable[[], Records]

    def make(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        return path


@dataclass(frozen=True)
class ImageRoot:
    """``path`` is the root folder. Afterwards ``before`` is what it was, and ``touched`` a tree of
    at least what changed."""

    path: Path
    before: View
    after: View
    touched: View


def lay_over(layers: Layers, overlays: Overlays) -> ImageRoot:
    """By an overlay; nothing is copied. To be called in a mount namespace of one's own.

    Raises OSError if the kernel refuses.
    """
    unpacked = layers.cache.unpack(layers.packed)
    lower, merged = layers.make("lower"), layers.make("merged")
    # The empty folder is there for an image that has no other layers.
    roots = [*(layer.root for layer in reversed(unpacked)), layers.make("empty")]
    if unpacked:
        overlays.mount(roots, lower, layers.make("lower-names"), None, None)
    overlays.mount(roots, merged, layers.make("names"), layers.tree, layers.make("work"))
    before_records = layers.new_records()
    for tree, records in ((lower, before_records), (merged, layers.records)):
        restore_links(unpacked, tree, records)
    return ImageRoot(
        merged,
        View(lower, before_records),
        View(merged, layers.records),
        View(layers.tree, layers.records),
    )


def copy_together(layers: Layers) -> ImageRoot:
    """A copy of all layers, for machines where nothing can be laid over them.

    Raises StrataError when there is no room.
    """
    lower = layers.cache.unpack_together(layers.packed)
    merged = layers.folder / "copy"
    copy_tree(lower.root, merged)
    copy_tree(layers.tree, merged)
    before_records = layers.new_records()
    for tree, records in ((lower.root, before_records), (merged, layers.records)):
        restore_links([lower], tree, records)
    after = View(merged, layers.records)
    return ImageRoot(merged, View(lower.root, before_records), after, after)


class Mounted:
    """The system's folders in a root, by mounts that each step makes in its own namespace. ``lent``
    names files of this machine that commands see in the places of the root's own."""

    def __init__(self, root: Path, tools: Path, lent: Sequence[str]) -> None:
        self._root = root
        self._tools = tools
        self._made = mount_points(root, SYSTEM_FOLDERS)
        self._lent = LentFiles(root, lent)

    def prepare(self) -> None:
        linux.mount(self._root, self._root, flags=linux.MS_BIND | linux.MS_REC)
        linux.mount(self._tools, self._root / FOLDER, flags=linux.MS_BIND)
        mount_system(self._root)

    def remove(self) -> None:
        self._lent.restore()
        for folder in self._made:
            folder.rmdir()


class Placed:
    """The same folders where nothing can be mounted: as files, once for all steps."""

    def __init__(self, root: Path, tools: Path, aside: Path, lent: Sequence[str]) -> None:
        self._private = PrivateFolders(root, aside, SYSTEM_FOLDERS)
        self._lent = LentFiles(root, lent)
        make_devices(root / "dev")
        copy_tree(tools, root / FOLDER)

    #: There is nothing to do in the step.
    prepare = None

    def remove(self) -> None:
        self._lent.restore()
        self._private.restore()
