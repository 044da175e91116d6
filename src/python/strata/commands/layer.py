"""``strata layer``: packs objects into one layer.

Writes ``blob``, ``layer.json`` (what the image needs to know about the layer) and
``listings.json`` (what the customisation layer needs to know about the objects).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Tuple

from strata.archive.compression import Compression
from strata.archive.entry import Entry, FileRange
from strata.archive.writer import Blob, write_layer
from strata.closure.farm import collision
from strata.closure.objects import ObjectSpec, ReaderContext, ReadObject, read_object
from strata.closure.owners import apply_rules, parse_rules
from strata.elf import HEADER, architecture_of

if TYPE_CHECKING:
    from strata.closure.python.bytecode import Compiler


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError for bad objects; see ``strata.closure.objects``."""
    with tempfile.TemporaryDirectory(dir=".", prefix="scratch-") as scratch:
        folder = Path(scratch)
        interpreter = spec["interpreter"]
        compiler = _compiler(Path(interpreter), spec["python"], folder) if interpreter else None
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


def _compiler(archive: Path, python: str, scratch: Path) -> "Compiler":
    # Only layers with Python code pay for the import.
    from strata.closure.python.bytecode import Compiler

    return Compiler(archive, python, scratch)


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
            **result.facts,
            **_programs(item, result),
        }
        for item, result in read
    ]
    write_json(out / "layer.json", {**blob.__dict__, "members": members, "owners": matched})
    write_json(out / "listings.json", [result.listing.to_json() for _, result in read])


def _programs(item: ObjectSpec, result: ReadObject) -> Dict[str, Dict[str, str]]:
    """One program's path for each architecture that a packaged artifact has programs for.

    Packages and wheels say what they are for, and have others' programs for reasons of their own.
    """
    if not item.name.startswith("package:"):
        return {}
    found: Dict[str, str] = {}
    for entry in result.entries:
        if isinstance(entry.content, FileRange) and entry.size >= HEADER:
            with open(entry.content.path, "rb") as file:
                file.seek(entry.content.offset)
                architecture = architecture_of(file.read(HEADER))
            if architecture:
                found.setdefault(architecture, entry.path)
    return {"programs": found} if found else {}


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
