"""``strata archive``: an image's files as one tar, docker archive and OCI layout in one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, BinaryIO, Dict

from strata.archive.entry import Entry, FileRange
from strata.archive.tar import END_OF_ARCHIVE, encode_header, padding

_COPY = 1 << 20


def run(spec: Dict[str, Any], out: Path) -> None:
    """Writes ``spec["output"]`` from the files below ``spec["layout"]``."""
    target = out / spec["output"]
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as stream:
        write_archive(Path(spec["layout"]), stream, spec["mtime"])


def write_archive(layout: Path, out: BinaryIO, mtime: int) -> None:
    """Streams the archive of an image layout folder to ``out``.

    The small files come first, so that a reader knows what it gets before the layers arrive.
    """
    files = sorted(path for path in layout.rglob("*") if path.is_file())
    files.sort(key=lambda path: (path.parent != layout, path.stat().st_size, path.as_posix()))
    for path in files:
        size = path.stat().st_size
        name = path.relative_to(layout).as_posix()
        out.write(encode_header(Entry(name, content=FileRange(path, size)), mtime))
        with open(path, "rb") as source:
            while chunk := source.read(_COPY):
                out.write(chunk)
        out.write(bytes(padding(size)))
    out.write(END_OF_ARCHIVE)


def stream(layout: str, mtime: int) -> None:
    write_archive(Path(layout), sys.stdout.buffer, mtime)
    sys.stdout.buffer.flush()
