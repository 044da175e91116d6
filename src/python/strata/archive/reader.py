"""From a tar archive to entries that point into it."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Iterator

from strata.archive.entry import Entry, EntryType, FileRange, checked_path
from strata.errors import StrataError

_XATTR = "SCHILY.xattr."
_TYPES = {
    tarfile.REGTYPE: EntryType.FILE,
    tarfile.AREGTYPE: EntryType.FILE,
    tarfile.LNKTYPE: EntryType.HARDLINK,
    tarfile.SYMTYPE: EntryType.SYMLINK,
    tarfile.CHRTYPE: EntryType.CHARACTER_DEVICE,
    tarfile.BLKTYPE: EntryType.BLOCK_DEVICE,
    tarfile.DIRTYPE: EntryType.DIRECTORY,
    tarfile.FIFOTYPE: EntryType.FIFO,
}


def read_entries(archive: Path, owner: str) -> Iterator[Entry]:
    """The members of an uncompressed tar, with paths as ``Entry`` wants them, but for the root.

    Contents are ranges of ``archive``. Raises StrataError, naming ``owner``, for a member that no
    layer can hold, and TarError for a damaged archive.
    """
    with tarfile.open(archive, "r:", encoding="utf-8", errors="surrogateescape") as members:
        for member in members:
            name = _plain(member.name)
            if name:
                yield _entry(member, checked_path(name, owner), archive, owner)


def _plain(name: str) -> str:
    """A member's name without what tar puts around it. ``..`` stays, and is refused."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _entry(member: tarfile.TarInfo, path: str, archive: Path, owner: str) -> Entry:
    kind = _TYPES.get(member.type)
    if kind is None:
        raise StrataError(f"{owner}: /{path} has the unknown tar type {member.type!r}")
    link = member.linkname if kind is EntryType.SYMLINK else ""
    if kind is EntryType.HARDLINK:
        link = _plain(member.linkname)
    is_device = kind in (EntryType.CHARACTER_DEVICE, EntryType.BLOCK_DEVICE)
    return Entry(
        path,
        kind,
        0o777 if kind is EntryType.SYMLINK else member.mode & 0o7777,
        member.uid,
        member.gid,
        FileRange(archive, member.size, member.offset_data) if kind is EntryType.FILE else b"",
        link,
        {
            key[len(_XATTR) :]: value.encode("utf-8", "surrogateescape")
            for key, value in member.pax_headers.items()
            if key.startswith(_XATTR)
        },
        (member.devmajor, member.devminor) if is_device else None,
        int(member.mtime),
    )
