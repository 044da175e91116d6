"""``strata interpreter``: packs what is needed to run the image's interpreter outside of it.

The result, ``interpreter.tar``, has the interpreter, the part of its standard library that compiles
bytecode, and the shared libraries. One file and no folder: not every cache keeps folders. The
library's own bytecode is in it, so that not every layer has to compile that first.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

from strata.archive.compression import Compression
from strata.archive.entry import Entry, FileRange
from strata.archive.writer import relinked, write_layer
from strata.closure.debian.package import read_package
from strata.closure.python.bytecode import Compiler


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError for a malformed package."""
    python = f"python{spec['python']}"
    needed: Dict[str, Entry] = {}
    with tempfile.TemporaryDirectory(dir=".", prefix="scratch-") as scratch:
        for package in spec["packages"]:
            folder = Path(scratch) / package["name"]
            folder.mkdir()
            for entry in read_package(Path(package["source"]), folder, package["name"]):
                if _is_needed(entry, python):
                    needed[entry.path] = entry
        entries = relinked(replace(entry, uid=0, gid=0) for entry in needed.values())
        archive = Path(scratch) / "interpreter.tar"
        write_layer(entries, archive, Compression.NONE, mtime=1)
        entries += _bytecode(entries, Compiler(archive, spec["python"], Path(scratch)))
        write_layer(entries, out / "interpreter.tar", Compression.NONE, mtime=1)


def _bytecode(entries: List[Entry], compiler: Compiler) -> List[Entry]:
    owner = "the image's interpreter"
    packed = {entry.path: entry for entry in entries}
    sources = [
        replace(packed[path], content=FileRange(compiler.root / path, packed[path].size))
        for path in compiler.own_modules(owner)
    ]
    return compiler.compile(sources, owner)


def _is_needed(entry: Entry, python: str) -> bool:
    parent, _, name = entry.path.rpartition("/")
    if entry.path == f"usr/bin/{python}":
        return True
    if entry.path.startswith(f"usr/lib/{python}/"):
        return name.endswith(".py")
    return parent.startswith("usr/lib") and ".so" in name and parent.count("/") <= 2
