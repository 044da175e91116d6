"""``strata archive``: an image's files as one tar, docker archive and OCI layout in one.

The same members in the same order, written to a file or streamed to standard output, give the same
bytes. Layers are copied as they are: nothing is hashed or compressed here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

from strata.archive.compression import Compression
from strata.archive.entry import Content, Entry, FileRange
from strata.archive.members import Compressed, write_members
from strata.errors import StrataError
from strata.oci.content import blob_path
from strata.oci.image import split_reference
from strata.oci.index import platforms_of
from strata.oci.naming import INDEX_MEDIA_TYPE, renamed


def run(spec: Dict[str, Any], out: Path) -> None:
    """Writes ``spec["output"]`` from the files below ``spec["layout"]``."""
    target = out / spec["output"]
    target.parent.mkdir(parents=True, exist_ok=True)
    compression = Compression(spec["compression"])
    with open(target, "wb") as stream:
        write_members(members(Path(spec["layout"])), Compressed(stream, compression))


def main(arguments: List[str]) -> int:
    """``strata stream LAYOUT COMPRESSION [--repo-tag NAME[:TAG]]…``: the archive on stdout."""
    parser = argparse.ArgumentParser(
        prog="pants run",
        description="Writes the image's archive to standard output, as `docker load` takes it.",
    )
    parser.add_argument("layout", help=argparse.SUPPRESS)
    parser.add_argument("compression", help=argparse.SUPPRESS)
    parser.add_argument(
        "--repo-tag",
        action="append",
        default=[],
        metavar="NAME[:TAG]",
        help="name the image like this instead, once or several times",
    )
    options = parser.parse_args(arguments)
    if sys.stdout.isatty():
        raise StrataError(
            "not writing an archive to a terminal: redirect it to a file or pipe it into "
            "`docker load`, `podman load` or the like"
        )
    found = members(Path(options.layout))
    if options.repo_tag:
        found = _renamed_members(found, [split_reference(text) for text in options.repo_tag])
    try:
        write_members(found, Compressed(sys.stdout.buffer, Compression(options.compression)))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever read the archive has left, and says why itself.
        sys.stderr.close()
        return 1
    return 0


def members(layout: Path) -> List[Tuple[str, Content]]:
    """All files of an image layout folder.

    The small ones come first, so that a reader knows what it gets before the layers arrive.
    """
    files = sorted(path for path in layout.rglob("*") if path.is_file())
    files.sort(key=lambda path: (path.parent != layout, path.stat().st_size, path.as_posix()))
    return [
        (path.relative_to(layout).as_posix(), FileRange(path, path.stat().st_size))
        for path in files
    ]


def _renamed_members(
    found: List[Tuple[str, Content]], references: List[Tuple[str, str]]
) -> List[Tuple[str, Content]]:
    texts = {
        name: Entry(name, content=content).read()
        for name, content in found
        if name in ("index.json", "manifest.json")
    }
    index_data = json.loads(texts["index.json"])
    named = index_data["manifests"][0]
    platforms = []
    if named["mediaType"] == INDEX_MEDIA_TYPE:
        content = dict(found)[blob_path(named["digest"])]
        platforms = platforms_of(json.loads(Entry("index", content=content).read()))
    index, manifest = renamed(index_data, json.loads(texts["manifest.json"]), references, platforms)
    changed: Dict[str, Content] = {"index.json": index, "manifest.json": manifest}
    return [(name, changed.get(name, content)) for name, content in found]
