"""The contents of a .deb, deb(5), as layer entries.

The data is decompressed once, to a scratch file that entries point into, so memory does not grow
with the package. Paths follow the merged-/usr layout.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Mapping

from strata.archive.entry import Entry, EntryType
from strata.archive.reader import read_entries
from strata.archive.writer import relinked
from strata.closure.debian.ar import Member, read_members
from strata.closure.debian.decompression import DamagedError, decompress
from strata.closure.debian.merged_usr import merged, points_at_itself, relocated_link
from strata.closure.facts import STATUS_FOLDER
from strata.errors import StrataError


def read_package(deb: Path, scratch: Path, package: str) -> List[Entry]:
    """All entries of a package, with its control paragraph as ``var/lib/dpkg/status.d/<package>``.

    Scanners find packages there, as they do in distroless images; they want no ``Status`` field, so
    the paragraph stays as it is. The entries' content lies in ``scratch``, which has to outlive
    them. Raises StrataError for a file that is no .deb, is damaged, or holds a path that cannot be
    stored or that two of its files share once /usr is merged.
    """
    owner = f"debian:{package}"
    members = read_members(deb, owner)
    try:
        status = _status_entries(
            _unpack(deb, members, "control.tar", scratch, owner), package, owner
        )
        return _data_entries(_unpack(deb, members, "data.tar", scratch, owner), owner) + status
    except (DamagedError, tarfile.TarError) as error:
        raise StrataError(
            f"{owner}: {deb.name} is damaged ({error}); fetch it again, or lock again"
        ) from error


def _unpack(deb: Path, members: Mapping[str, Member], stem: str, scratch: Path, owner: str) -> Path:
    """Decompresses the member ``stem`` or ``stem.*`` to a file."""
    name = next((name for name in members if name == stem or name.startswith(f"{stem}.")), None)
    if name is None:
        raise StrataError(f"{owner}: {deb.name} has no {stem}; lock again")
    member = members[name]
    # Two objects of a layer may read one package: each gets a file of its own.
    handle, target = tempfile.mkstemp(f".{stem}", f"{deb.stem}-", scratch)
    with open(deb, "rb") as source, open(handle, "w+b") as out:
        source.seek(member.offset)
        decompress(name, source, member.size, out, owner)
        # A tar that was cut between two members reads like a shorter one: all end in zeros.
        out.seek(-min(out.tell(), tarfile.BLOCKSIZE), os.SEEK_END)
        if out.read() != bytes(tarfile.BLOCKSIZE):
            raise DamagedError(f"{name} ends early")
    return Path(target)


def _status_entries(control: Path, package: str, owner: str) -> List[Entry]:
    suffixes = {"control": "", "md5sums": ".md5sums"}
    entries = [
        Entry(f"{STATUS_FOLDER}/{package}{suffixes[entry.path]}", content=entry.read())
        for entry in read_entries(control, owner)
        if entry.path in suffixes
    ]
    if not any(entry.path == f"{STATUS_FOLDER}/{package}" for entry in entries):
        raise StrataError(f"{owner}: the package has no control file; lock again")
    return entries


def _data_entries(data: Path, owner: str) -> List[Entry]:
    found: Dict[str, Entry] = {}
    for unmerged in read_entries(data, owner):
        entry = _moved(unmerged)
        held = found.get(entry.path)
        if held is None or _is_pointless(held):
            found[entry.path] = entry
        elif not _is_pointless(entry) and not (held.is_directory and entry.is_directory):
            raise StrataError(
                f"{owner}: the package has two files at /{entry.path} once /usr is merged; it "
                "cannot be used"
            )
    entries = {path: entry for path, entry in found.items() if not _is_pointless(entry)}
    for entry in entries.values():
        if entry.type is EntryType.HARDLINK:
            _check_hard_link(entry, entries, owner)
    return relinked(entries.values())


def _moved(entry: Entry) -> Entry:
    """``entry`` where it lies with a merged /usr."""
    path = merged(entry.path)
    if entry.type is EntryType.HARDLINK:
        return replace(entry, path=path, link=merged(entry.link))
    if entry.type is EntryType.SYMLINK:
        return replace(entry, path=path, link=relocated_link(entry.path, path, entry.link))
    return replace(entry, path=path)


def _is_pointless(entry: Entry) -> bool:
    return entry.type is EntryType.SYMLINK and points_at_itself(entry.path, entry.link)


def _check_hard_link(link: Entry, entries: Mapping[str, Entry], owner: str) -> None:
    """Raises StrataError unless ``link``, through other hard links, is a name of some file."""
    entry = link
    for _ in entries:
        target = entries.get(entry.link)
        if target is None or target.is_directory:
            break
        if target.type is not EntryType.HARDLINK:
            return
        entry = target
    raise StrataError(
        f"{owner}: /{link.path} is a hard link to /{link.link}, which is no file of the package; "
        "the package cannot be used"
    )
