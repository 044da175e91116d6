"""``strata interpreter``: unpacks what is needed to run the image's interpreter outside of it.

The result is a tree of plain files below ``interpreter/`` that layer processes compile bytecode
with. It holds the interpreter, its standard library and the shared libraries, and nothing else.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Dict

from strata.archive.entry import Entry, EntryType
from strata.closure.debian.package import read_package


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError for a malformed package."""
    root = out / "interpreter"
    python = f"python{spec['python']}"
    with tempfile.TemporaryDirectory(dir=".", prefix="scratch-") as scratch:
        for package in spec["packages"]:
            folder = Path(scratch) / package["name"]
            folder.mkdir()
            for entry in read_package(Path(package["source"]), folder, package["name"]):
                if _is_needed(entry, python):
                    _unpack(entry, root)


def _is_needed(entry: Entry, python: str) -> bool:
    parent, _, name = entry.path.rpartition("/")
    if entry.path == f"usr/bin/{python}" or entry.path.startswith(f"usr/lib/{python}/"):
        return True
    return parent.startswith("usr/lib") and ".so" in name and parent.count("/") <= 2


def _unpack(entry: Entry, root: Path) -> None:
    path = root / entry.path
    if entry.type is EntryType.FILE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry.read())
        path.chmod(0o755 if entry.mode & 0o111 else 0o644)
    elif entry.type is EntryType.SYMLINK:
        path.parent.mkdir(parents=True, exist_ok=True)
        # An absolute link means the image's root, which this tree is not.
        target = entry.link
        if target.startswith("/"):
            target = os.path.relpath(root / target.lstrip("/"), path.parent)
        path.symlink_to(target)
