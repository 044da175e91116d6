"""``strata flatten``: an image's root as one tar, with its layers applied to each other.

Follows the OCI image specification, "Image Layer Filesystem Changeset": whiteouts
(``.wh.<name>``) and opaque whiteouts (``.wh..wh..opq``) remove what lower layers have.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Set

from strata.archive.compression import Compression
from strata.archive.decompression import decompress_layer
from strata.archive.entry import Entry, EntryType
from strata.archive.reader import read_entries
from strata.archive.writer import relinked, write_layer

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
#: In seconds since the epoch: layers have one time for all files, which is not read back.
_MTIME = 1


def run(spec: Dict[str, Any], out: Path) -> None:
    """Writes ``spec["output"]`` from the image layout ``spec["layout"]``, whose docker manifest
    names one image."""
    layout = Path(spec["layout"])
    (manifest,) = json.loads((layout / "manifest.json").read_text())
    root: Dict[str, Entry] = {}
    with tempfile.TemporaryDirectory(dir=".", prefix="scratch-") as scratch:
        for index, layer in enumerate(manifest["Layers"]):
            plain = Path(scratch) / str(index)
            decompress_layer(layout / layer, plain)
            apply_layer(root, list(read_entries(plain, f"layer {index}")))
        write_layer(relinked(root.values()), out / spec["output"], Compression.NONE, _MTIME)


def apply_layer(root: Dict[str, Entry], entries: List[Entry]) -> None:
    """Changes ``root``, entries by path, as a layer says. Whiteouts mean lower layers only."""
    targets = {entry.link for entry in root.values() if entry.type is EntryType.HARDLINK}
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        if name == _OPAQUE:
            _remove_below(root, parent, targets)
        elif name.startswith(_WHITEOUT):
            path = f"{parent}/{name[len(_WHITEOUT) :]}".lstrip("/")
            _remove_below(root, path, targets)
            _keep_links(root, path, targets)
            root.pop(path, None)
    for entry in entries:
        if entry.path.rpartition("/")[2].startswith(_WHITEOUT):
            continue
        held = root.get(entry.path)
        if held is not None and held.is_directory and not entry.is_directory:
            _remove_below(root, entry.path, targets)
        _keep_links(root, entry.path, targets)
        target = root.get(entry.link) if entry.type is EntryType.HARDLINK else None
        if target is not None and target.type is EntryType.HARDLINK:
            # All names of a file point at one of them, so that losing another breaks none.
            entry = replace(entry, link=target.link)
        root[entry.path] = entry


def _remove_below(root: Dict[str, Entry], path: str, targets: Set[str]) -> None:
    prefix = f"{path}/" if path else ""
    for name in [name for name in root if name.startswith(prefix)]:
        _keep_links(root, name, targets)
        del root[name]


def _keep_links(root: Dict[str, Entry], path: str, targets: Set[str]) -> None:
    """Hands the content of ``path`` to a hard link on it, if it is about to go."""
    held = root.get(path)
    if held is None or held.type is not EntryType.FILE or path not in targets:
        return
    links = [e for e in root.values() if e.type is EntryType.HARDLINK and e.link == path]
    if links:
        first, *others = sorted(links, key=lambda entry: entry.path.encode())
        root[first.path] = replace(held, path=first.path)
        for other in others:
            root[other.path] = replace(other, link=first.path)
        targets.add(first.path)
