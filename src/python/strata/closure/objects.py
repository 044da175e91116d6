"""Readers of objects: from what a layer process was given to entries and a listing.

Adding a kind of object is adding a reader to ``READERS``. A reader imports what only its kind needs
when it is called: starting Python costs more than packing a small layer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple

from strata.archive.entry import Entry, EntryType, checked_path, directory
from strata.closure.facts import file_facts, source_facts
from strata.closure.links import led
from strata.closure.listing import Listing, listed_paths
from strata.closure.manifest import ManifestFile, parse_manifest
from strata.errors import StrataError

if TYPE_CHECKING:
    from strata.closure.python.bytecode import Compiler


@dataclass(frozen=True)
class ReaderContext:
    """What all objects of a layer share. ``uid``, ``gid`` and their names own the store;
    ``compiler`` is None where no bytecode is wanted; ``python`` is the image's minor version, if it
    has one; ``links`` are the image's links to folders, which files placed below follow."""

    scratch: Path
    uid: int = 0
    gid: int = 0
    python: str = ""
    compiler: "Optional[Compiler]" = None
    uname: str = ""
    gname: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def owns_as_root(self) -> bool:
        return (self.uid, self.gid, self.uname, self.gname) == (0, 0, "", "")

    def owns(self, entry: Entry) -> Entry:
        """``entry`` as a part of the store."""
        return entry.owned_by(self.uid, self.gid, self.uname, self.gname)


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
    """An object's entries, with image paths, its listing, and what else there is to tell of it
    (``strata.closure.facts``)."""

    entries: List[Entry]
    listing: Listing
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_object(spec: ObjectSpec, context: ReaderContext) -> ReadObject:
    """Raises StrataError for content that is not of the object's kind or cannot be stored, and for
    an ``omit`` pattern that matches nothing."""
    entries, scripts, script_files, hashes = READERS[spec.kind](spec, context)
    facts: Dict[str, Any] = {}
    if spec.kind == "debian":
        # Also of packages whose control paragraph is left out of the image.
        facts = source_facts(spec.name.partition(":")[2], entries)
    if spec.omit:
        entries = _without(entries, spec)
    listing = Listing(
        spec.name, spec.root, listed_paths(entries, spec.root, hashes), scripts, script_files
    )
    if spec.root and not context.owns_as_root:
        entries = [*entries, *_directories(entries, spec.root, context)]
    return ReadObject(entries, listing, {**facts, **file_facts(entries, spec.root, hashes)})


def _directories(entries: List[Entry], root: str, context: ReaderContext) -> List[Entry]:
    """The folders from ``root`` on that no entry is: a layer would have them as root's."""
    known = {entry.path for entry in entries}
    made: Dict[str, Entry] = {}
    for entry in entries:
        parent = entry.path.rpartition("/")[0]
        while len(parent) >= len(root) and parent not in known:
            known.add(parent)
            made[parent] = context.owns(directory(parent))
            parent = parent.rpartition("/")[0]
    return list(made.values())


def _without(entries: List[Entry], spec: ObjectSpec) -> List[Entry]:
    from strata.closure.python.bytecode import source_of

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
    from strata.closure.python.wheel import canonical_wheel

    wheel = canonical_wheel(spec.name, spec.manifest, spec.source, context.python)
    entries = [_placed(entry, spec.root, context) for entry in wheel.entries]
    hashes = {f"{spec.root}/{path}": sha256 for path, sha256 in wheel.hashes.items()}
    entries += _bytecode(entries, spec, context)
    return entries, wheel.scripts, wheel.script_files, hashes


def _read_tree(spec: ObjectSpec, context: ReaderContext) -> _Read:
    base = "/".join(part for part in (spec.root, spec.prefix) if part)
    entries = []
    hashes = {}
    for file in spec.manifest:
        path = checked_path(file.path, spec.name)
        placed = f"{base}/{path}" if base else path
        if not spec.root:
            placed = led(placed, context.links)
        entry = file.entry(placed, spec.source)
        # What lies at a path of its own is no part of the store.
        entries.append(context.owns(entry) if spec.root else entry.owned_by(0, 0))
        hashes[placed] = file.sha256
    if spec.python_sources:
        entries += _bytecode(entries, spec, context)
    return entries, {}, {}, hashes


def _read_debian(spec: ObjectSpec, context: ReaderContext) -> _Read:
    from strata.closure.debian.package import read_package

    package = spec.name.partition(":")[2]
    entries = list(read_package(spec.source, context.scratch, package))
    return entries, {}, {}, {}


CERTIFICATE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def _read_certificates(spec: ObjectSpec, context: ReaderContext) -> _Read:
    """The bundle that ``update-ca-certificates`` would write, from the package's certificates."""
    from strata.closure.debian.package import read_package

    package = spec.source.name.partition("_")[0]
    certificates = sorted(
        (entry.path, entry)
        for entry in read_package(spec.source, context.scratch, package)
        if entry.path.startswith("usr/share/ca-certificates/") and entry.path.endswith(".crt")
    )
    if not certificates:
        raise StrataError(f"{spec.name}: {spec.source.name} contains no certificates")
    bundle = b"".join(entry.read().rstrip(b"\n") + b"\n" for _, entry in certificates)
    path = led(CERTIFICATE_BUNDLE, context.links)
    return [Entry(path, content=bundle)], {}, {}, {}


def _placed(entry: Entry, root: str, context: ReaderContext) -> Entry:
    return context.owns(replace(entry, path=f"{root}/{entry.path}"))


def _bytecode(entries: List[Entry], spec: ObjectSpec, context: ReaderContext) -> List[Entry]:
    if context.compiler is None:
        return []
    compiled = context.compiler.compile(entries, spec.name)
    return [context.owns(entry) for entry in compiled]


READERS: Dict[str, Callable[[ObjectSpec, ReaderContext], _Read]] = {
    "wheel": _read_wheel,
    "tree": _read_tree,
    "debian": _read_debian,
    "certificates": _read_certificates,
}
