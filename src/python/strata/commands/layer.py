"""``strata layer``: packs objects into one layer.

Writes ``blob``, ``layer.json`` (what the image needs to know about the layer) and
``listings.json`` (what the customisation layer needs to know about the objects).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

from strata.archive.compression import Compression
from strata.archive.entry import Entry
from strata.archive.writer import Blob, write_layer
from strata.closure.farm import collision
from strata.closure.objects import ObjectSpec, ReaderContext, ReadObject, read_object
from strata.closure.owners import apply_rules, parse_rules
from strata.closure.python.bytecode import Compiler


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError for bad objects; see ``strata.closure.objects``."""
    with tempfile.TemporaryDirectory(dir=".", prefix="scratch-") as scratch:
        folder = Path(scratch)
        interpreter = spec["interpreter"]
        compiler = Compiler(Path(interpreter), spec["python"], folder) if interpreter else None
        context = ReaderContext(
            folder,
            spec["uid"],
            spec["gid"],
            spec["python"],
            compiler,
            spec["uname"],
            spec["gname"],
            spec["links"],
        )
        objects = [ObjectSpec.from_json(item) for item in spec["objects"]]
        read = [(item, read_object(item, context)) for item in objects]
        entries = merged((item.name, result.entries) for item, result in read)
        entries, matched = apply_rules(entries, parse_rules(spec["owners"]))
        blob = write_layer(entries, out / "blob", Compression(spec["compression"]), spec["mtime"])
    write_results(out, blob, read, matched)


def merged(owned: Iterable[Tuple[str, Iterable[Entry]]]) -> List[Entry]:
    """All entries of several objects, with the directories they share once.

    Raises StrataError if two objects own one path. Where they disagree about a directory's mode
    or owner the first object by name is right; the customisation layer repeats that for objects
    in different layers.
    """
    result: Dict[str, Tuple[str, Entry]] = {}
    for name, entries in sorted(owned, key=lambda item: item[0]):
        for entry in entries:
            held = result.setdefault(entry.path, (name, entry))
            if held[1] is not entry and not (held[1].is_directory and entry.is_directory):
                raise collision(entry.path, held[0], name)
    return [entry for _, entry in result.values()]


def write_results(
    out: Path, blob: Blob, read: List[Tuple[ObjectSpec, ReadObject]], matched: List[bool]
) -> None:
    members = [
        {
            "name": item.name,
            "version": item.version,
            "size": sum(entry.size for entry in result.entries),
            "files": sum(not entry.is_directory for entry in result.entries),
        }
        for item, result in read
    ]
    write_json(out / "layer.json", {**blob.__dict__, "members": members, "owners": matched})
    write_json(out / "listings.json", [result.listing.to_json() for _, result in read])


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
