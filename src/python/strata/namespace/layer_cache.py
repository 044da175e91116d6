"""Layers unpacked once for all images, users of one cache folder, and builds at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ContextManager, Iterable, List, Sequence, Tuple

from strata.archive.decompression import decompress_layer
from strata.archive.entry import Entry, EntryType
from strata.archive.reader import read_entries
from strata.errors import StrataError
from strata.namespace.records import Record, Recording, Records
from strata.namespace.tree import remove_tree, write_tree

_PARTIAL = ".partial"
_MARK = ".records"


@dataclass(frozen=True)
class PackedLayer:
    """``diff_id`` is ``sha256:<hex>`` of the tar in ``blob``."""

    blob: Path
    diff_id: str


@dataclass(frozen=True)
class UnpackedLayer:
    """``has_records`` says whether files in ``root`` have recorded owners; ``links`` are those of
    its files that can have no attributes, with their owners."""

    root: Path
    has_records: bool = False
    links: Tuple[Tuple[str, int, int], ...] = ()


class LayerCache:
    """``folder`` holds one tree for each layer, named after its diff ID, below ``key``: trees
    differ on disk by what can be set there."""

    def __init__(self, folder: Path, key: str, recording: Recording) -> None:
        self._folder = folder / key
        self._recording = recording

    def unpack(self, layers: Sequence[PackedLayer]) -> List[UnpackedLayer]:
        """Raises StrataError if there is no room, with nothing left behind."""
        return [
            self._unpacked([layer], layer.diff_id.partition(":")[2], overlaid=True)
            for layer in layers
        ]

    def unpack_together(self, layers: Sequence[PackedLayer]) -> UnpackedLayer:
        """One tree of all ``layers``, for machines that cannot lay trees over each other.

        Raises StrataError if there is no room, with nothing left behind.
        """
        text = " ".join(layer.diff_id for layer in layers)
        name = f"together-{hashlib.sha256(text.encode()).hexdigest()}"
        return self._unpacked(layers, name, overlaid=False)

    def _unpacked(self, layers: Sequence[PackedLayer], name: str, overlaid: bool) -> UnpackedLayer:
        self._folder.mkdir(parents=True, exist_ok=True)
        root = self._folder / name
        if not root.is_dir():
            with _lock(self._folder / f"{name}.lock"):
                if not root.is_dir():
                    self._write(layers, root, overlaid)
        try:
            rows = json.loads((self._folder / f"{name}{_MARK}").read_text())
        except FileNotFoundError:
            return UnpackedLayer(root)
        return UnpackedLayer(root, True, tuple((path, uid, gid) for path, uid, gid in rows))

    def _write(self, layers: Sequence[PackedLayer], root: Path, overlaid: bool) -> None:
        partial = root.with_name(f"{root.name}{_PARTIAL}")
        tar = root.with_name(f"{root.name}.tar{_PARTIAL}")
        # What an earlier run left when it was killed: the lock says that nobody is at it.
        remove_tree(partial)
        records = Records()
        links: List[Tuple[str, int, int]] = []
        try:
            partial.mkdir(0o755)
            for layer in layers:
                decompress_layer(layer.blob, tar)
                entries = list(read_entries(tar, f"layer {layer.diff_id[:19]}"))
                write_tree(entries, partial, self._recording, records, overlaid)
                links += _links(entries)
            if records.used:
                root.with_name(f"{root.name}{_MARK}").write_text(json.dumps(links))
            partial.rename(root)
        except OSError as error:
            remove_tree(partial)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StrataError(
                    f"no room to unpack layers in {self._folder.parent}: {error.strerror}. "
                    "`./pants check-namespaces --clear-layers` removes what is there; it is made "
                    "again when it is needed"
                ) from error
            raise
        except StrataError:
            remove_tree(partial)
            raise
        finally:
            tar.unlink(missing_ok=True)


def _links(entries: Iterable[Entry]) -> List[Tuple[str, int, int]]:
    return [
        (entry.path, entry.uid, entry.gid)
        for entry in entries
        if entry.type in (EntryType.SYMLINK, EntryType.FIFO) and (entry.uid or entry.gid)
    ]


def restore_links(layers: Sequence[UnpackedLayer], merged: Path, records: Records) -> None:
    """Adds what the layers' ``links`` say to ``records``, for the tree that they make together."""
    for index, layer in enumerate(layers):
        records.used = records.used or layer.has_records
        for path, uid, gid in layer.links:
            covered = any(os.path.lexists(above.root / path) for above in layers[index + 1 :])
            file = merged / path
            if not covered and os.path.lexists(file):
                records.write(file, os.lstat(file), Record(owner=(uid, gid)))


def _lock(path: Path) -> "ContextManager[object]":
    # Imported where it is used: only runs that unpack something need the library.
    from filelock import FileLock

    lock: ContextManager[object] = FileLock(str(path))
    return lock
