"""Readers of objects: from what a layer process was given to entries and a listing.

Adding a kind of object is adding a reader to ``READERS``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from strata.archive.entry import Entry, EntryType, checked_path
from strata.closure.debian.package import read_package
from strata.closure.listing import Listing, listed_paths
from strata.closure.manifest import ManifestFile, parse_manifest
from strata.closure.python.bytecode import Compiler, source_of
from strata.closure.python.wheel import canonical_wheel
from strata.errors import StrataError


@dataclass(frozen=True)
class ReaderContext:
    """What all objects of a layer share. ``uid`` and ``gid`` own the store; ``compiler`` is None
    where no bytecode is wanted; ``python`` is the image's minor version, if it has one."""

    scratch: Path
    uid: int = 0
    gid: int = 0
    python: str = ""
    compiler: Optional[Compiler] = None


@dataclass(frozen=True)
class ObjectSpec:
    """One object as a layer process is told about it.

    ``source`` is the folder or file that holds its content. ``root`` is where it lies in the image,
    without slashes at the ends, and ``prefix`` a path below that. In JSON, ``manifest`` is the path
    of a file with the manifest's rows. ``omit`` are shell patterns of
    image paths that are left out.
    """

    name: str
    version: str
    kind: str
    source: Path
    root: str = ""
    prefix: str = ""
    python_sources: bool = False
    manifest: Tuple[ManifestFile, ...] = ()
    omit: Tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ObjectSpec":
        if data["kind"] not in READERS:
            raise StrataError(f"{data['name']}: unknown kind of object {data['kind']!r}")
        return cls(
            data["name"],
            data["version"],
            data["kind"],
            Path(data["source"]),
            data["root"],
            data["prefix"],
            data["python_sources"],
            tuple(parse_manifest(json.loads(Path(data["manifest"]).read_text())))
            if data["manifest"]
            else (),
            tuple(data["omit"]),
        )


@dataclass(frozen=True)
class ReadObject:
    """An object's entries, with image paths, and its listing."""

    entries: List[Entry]
    listing: Listing


def read_object(spec: ObjectSpec, context: ReaderContext) -> ReadObject:
    """Raises StrataError for content that is not of the object's kind or cannot be stored, and for
    an ``omit`` pattern that matches nothing."""
    entries, scripts, script_files, hashes = READERS[spec.kind](spec, context)
    if spec.omit:
        entries = _without(entries, spec)
    listing = Listing(
        spec.name, spec.root, listed_paths(entries, spec.root, hashes), scripts, script_files
    )
    return ReadObject(entries, listing)


def _without(entries: List[Entry], spec: ObjectSpec) -> List[Entry]:
    gone: Dict[str, Entry] = {}
    for pattern in spec.omit:
        matched = {entry.path: entry for entry in entries if fnmatchcase(entry.path, pattern)}
        if not matched:
            raise StrataError(
                f"omit_paths: {pattern!r} matches no path of {spec.name}; remove the pattern"
            )
        gone.update(matched)
    heirs: Dict[str, str] = {}
    kept = []
    for entry in sorted(entries, key=lambda entry: entry.path.encode()):
        if entry.path in gone or source_of(entry.path) in gone:
            continue
        if entry.type is EntryType.HARDLINK and entry.link in gone:
            # The first name that is left has the content.
            heir = heirs.setdefault(entry.link, entry.path)
            if heir == entry.path:
                entry = replace(gone[entry.link], path=heir)
            else:
                entry = replace(entry, link=heir)
        kept.append(entry)
    return kept


_Read = Tuple[List[Entry], Dict[str, str], Dict[str, str], Dict[str, str]]


def _read_wheel(spec: ObjectSpec, context: ReaderContext) -> _Read:
    wheel = canonical_wheel(spec.name, spec.manifest, spec.source, context.python)
    entries = [_placed(entry, spec.root, context) for entry in wheel.entries]
    hashes = {f"{spec.root}/{path}": sha256 for path, sha256 in wheel.hashes.items()}
    entries += _bytecode(entries, spec, context)
    return entries, wheel.scripts, wheel.script_files, hashes


def _read_tree(spec: ObjectSpec, context: ReaderContext) -> _Read:
    base = "/".join(part for part in (spec.root, spec.prefix) if part)
    # What lies at a path of its own is no part of the store.
    uid, gid = (context.uid, context.gid) if spec.root else (0, 0)
    entries = []
    hashes = {}
    for file in spec.manifest:
        path = checked_path(file.path, spec.name)
        placed = f"{base}/{path}" if base else path
        entries.append(file.entry(placed, spec.source).owned_by(uid, gid))
        hashes[placed] = file.sha256
    if spec.python_sources:
        entries += _bytecode(entries, spec, context)
    return entries, {}, {}, hashes


def _read_debian(spec: ObjectSpec, context: ReaderContext) -> _Read:
    package = spec.name.partition(":")[2]
    entries = list(read_package(spec.source, context.scratch, package))
    return entries, {}, {}, {}


CERTIFICATE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def _read_certificates(spec: ObjectSpec, context: ReaderContext) -> _Read:
    """The bundle that ``update-ca-certificates`` would write, from the package's certificates."""
    package = spec.source.name.partition("_")[0]
    certificates = sorted(
        (entry.path, entry)
        for entry in read_package(spec.source, context.scratch, package)
        if entry.path.startswith("usr/share/ca-certificates/") and entry.path.endswith(".crt")
    )
    if not certificates:
        raise StrataError(f"{spec.name}: {spec.source.name} contains no certificates")
    bundle = b"".join(entry.read().rstrip(b"\n") + b"\n" for _, entry in certificates)
    return [Entry(CERTIFICATE_BUNDLE, content=bundle)], {}, {}, {}


def _placed(entry: Entry, root: str, context: ReaderContext) -> Entry:
    return replace(entry, path=f"{root}/{entry.path}", uid=context.uid, gid=context.gid)


def _bytecode(entries: List[Entry], spec: ObjectSpec, context: ReaderContext) -> List[Entry]:
    if context.compiler is None:
        return []
    compiled = context.compiler.compile(entries, spec.name)
    return [entry.owned_by(context.uid, context.gid) for entry in compiled]


READERS: Dict[str, Callable[[ObjectSpec, ReaderContext], _Read]] = {
    "wheel": _read_wheel,
    "tree": _read_tree,
    "debian": _read_debian,
    "certificates": _read_certificates,
}
