"""``strata customisation``: the top layer, with links into the store and declared root entries."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Set, Tuple

from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType, checked_path, directory
from strata.archive.writer import write_layer
from strata.closure.farm import collision, link_farm
from strata.closure.links import led
from strata.closure.listing import ListedPath, Listing
from strata.closure.owners import OwnerRule, apply_rules, parse_rules
from strata.closure.python.application import Application, application_entries
from strata.commands.layer import merged, write_json
from strata.commands.on_base import check_links, kept_directories, listed_root, read_root

OWNER = "the layered_image's own entries"


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError for every path that two objects of the image own, and for one that would
    hide a link of the base image's."""
    root = read_root(spec["root"])
    links = {**root.links, **spec["links"]}
    listings = _read_listings(spec["listings"])
    below = _read_listings(spec["base_listings"])
    listings.update((name, below[name]) for name in spec["borrowed"])
    owned: List[Tuple[str, List[Entry]]] = []
    for data in spec["applications"]:
        application = Application.from_json(data)
        owned.append((f"/{application.path}", application_entries(application, listings)))
    for farm in spec["farms"]:
        linked = [listings[name] for name in farm["objects"]]
        owned.append((f"/{farm['mount']}", link_farm(linked, farm["mount"])))
    declared = [_declared(item, links) for item in spec["entries"]]
    owned.append((OWNER, declared))
    entries = merged(owned)

    placed = [listing for listing in listings.values() if not listing.root]
    held, used = _check_collisions(placed, owned)
    for listing in listings.values():
        if listing.root:
            used.update((path, listing.name) for path in _parents(f"{listing.root}/"))
    check_links(root, used)
    kept = kept_directories(root, used, {entry.path for entry in declared})
    held.update(listed_root(root))
    entries = [entry for entry in entries if entry.path not in kept] + list(kept.values())
    rules = parse_rules(spec["owners"])
    entries += _agreed_directories(placed, {entry.path for entry in entries}, rules)
    entries += _repeated_parents(entries, held)
    entries, matched = apply_rules(entries, rules)
    blob = write_layer(entries, out / "blob", Compression(spec["compression"]), spec["mtime"])
    size = sum(entry.size for entry in entries)
    members = [{"name": "customisation", "version": "", "size": size, "files": len(entries)}]
    write_json(
        out / "layer.json",
        {
            **blob.__dict__,
            "members": members,
            "owners": matched,
            "parents": _unusual(held, {entry.path for entry in entries}),
        },
    )


def _unusual(held: Mapping[str, ListedPath], taken: Set[str]) -> List[Tuple[str, int, int, int]]:
    """Directories of other layers that are not as directories usually are: commands that make them
    anew, not seeing those, must not change them."""
    return [
        (path, *_owner_and_mode(held[path]))
        for path in sorted(held.keys() - taken)
        if _owner_and_mode(held[path]) != (0o755, 0, 0)
    ]


def _read_listings(files: List[str]) -> Dict[str, Listing]:
    result = {}
    for file in files:
        for data in json.loads(Path(file).read_text()):
            listing = Listing.from_json(data)
            result[listing.name] = listing
    return result


def _declared(item: Mapping[str, Any], links: Mapping[str, str]) -> Entry:
    return Entry(
        led(checked_path(item["path"], OWNER), links),
        EntryType[item["type"].upper()],
        item["mode"],
        item["uid"],
        item["gid"],
        content=item["content"].encode(),
        link=item["target"],
    )


def _check_collisions(
    placed: List[Listing], owned: List[Tuple[str, List[Entry]]]
) -> Tuple[Dict[str, ListedPath], Dict[str, str]]:
    """The directories that objects at their own paths contain, and an owner of each directory that
    anything lies in.

    Layers would silently cover each other where two objects contain one file, or where one has a
    directory and another a file or a link.
    """
    files: Dict[str, str] = {}
    directories: Dict[str, str] = {}
    found: Dict[str, ListedPath] = {}

    def add(owner: str, path: str, is_directory: bool) -> None:
        if is_directory:
            if path in files:
                raise collision(path, files[path], owner)
            directories.setdefault(path, owner)
        else:
            if path in files or path in directories:
                raise collision(path, files.get(path) or directories[path], owner)
            files[path] = owner

    def add_parents(owner: str, path: str) -> None:
        for parent in _parents(path):
            if parent in directories:
                break
            add(owner, parent, True)

    for listing in sorted(placed, key=lambda item: item.name):
        for listed in listing.paths:
            add(listing.name, listed.path, listed.is_directory)
            add_parents(listing.name, listed.path)
            if listed.is_directory:
                found.setdefault(listed.path, listed)
    for owner, entries in owned:
        for entry in entries:
            if not entry.is_directory:
                add(owner, entry.path, False)
            else:
                add(owner, entry.path, True)
            add_parents(owner, entry.path)
    return found, directories


def _parents(path: str) -> Iterator[str]:
    """The folders above ``path``, the nearest first."""
    parent = path.rpartition("/")[0]
    while parent:
        yield parent
        parent = parent.rpartition("/")[0]


def _agreed_directories(
    placed: List[Listing], taken: Set[str], rules: Sequence[OwnerRule]
) -> List[Entry]:
    """Directories whose mode or owner several objects disagree about, as the first has them.

    Which layer is on top must not decide it. An object that has files in a directory and does not
    list it has no say, although its layer holds the directory with the mode that all such have.
    """
    first: Dict[str, ListedPath] = {}
    disputed: Set[str] = set()
    unlisted: Set[str] = set()
    for listing in sorted(placed, key=lambda item: item.name):
        for listed in listing.paths:
            if listed.is_directory:
                held = first.setdefault(listed.path, listed)
                if _owner_and_mode(held) != _owner_and_mode(listed):
                    disputed.add(listed.path)
        unlisted |= _unlisted_parents(listing)
    for path in unlisted & first.keys():
        by_rule = any(fnmatchcase(path, rule.paths) for rule in rules)
        if by_rule or _owner_and_mode(first[path]) != (0o755, 0, 0):
            disputed.add(path)
    return [_like(first[path]) for path in sorted(disputed - taken)]


def _owner_and_mode(listed: ListedPath) -> Tuple[int, int, int]:
    return listed.mode, listed.uid, listed.gid


def _unlisted_parents(listing: Listing) -> Set[str]:
    directories = {listed.path for listed in listing.paths if listed.is_directory}
    found: Set[str] = set()
    for listed in listing.paths:
        parent = listed.path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found - directories


def _repeated_parents(entries: List[Entry], held: Mapping[str, ListedPath]) -> List[Entry]:
    """The parents that ``entries`` need and that lower layers have, as those have them."""
    taken = {entry.path for entry in entries}
    result: Dict[str, Entry] = {}
    for path in taken:
        parent = path.rpartition("/")[0]
        while parent and parent not in taken and parent not in result:
            listed = held.get(parent)
            result[parent] = _like(listed) if listed else directory(parent)
            parent = parent.rpartition("/")[0]
    return list(result.values())


def _like(listed: ListedPath) -> Entry:
    return Entry(listed.path, EntryType.DIRECTORY, listed.mode, listed.uid, listed.gid)
