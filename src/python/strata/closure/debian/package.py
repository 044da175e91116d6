"""The contents of a .deb, as layer entries.

Reads deb(5): an ``ar`` archive with a control and a data tar. The data is decompressed once, to a
scratch file that entries point into, so memory does not grow with the package. Paths follow the
merged-/usr layout that Debian has had since bookworm: what a package ships in ``/bin`` lies in
``/usr/bin``.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Dict, List, Tuple

from strata.archive.entry import Entry, EntryType
from strata.archive.reader import read_entries
from strata.archive.writer import relinked
from strata.errors import StrataError

_MAGIC = b"!<arch>\n"
_HEADER = 60
_MERGED = ("bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin")
_STATUS_FOLDER = "var/lib/dpkg/status.d"


def read_package(deb: Path, scratch: Path, package: str) -> List[Entry]:
    """All entries of a package, with its control paragraph as ``var/lib/dpkg/status.d/<package>``.

    Scanners find packages there, as they do in distroless images. Raises StrataError for a file
    that is no .deb, is damaged, or holds a path that cannot be stored or that two of its files
    share once /usr is merged.
    """
    owner = f"debian:{package}"
    try:
        members = _ar_members(deb, owner)
        control = _unpack(deb, members, "control.tar", scratch, owner)
        status = _status_entries(control, package)
        data = _unpack(deb, members, "data.tar", scratch, owner)
        entries = _data_entries(data, owner)
    except (tarfile.TarError, lzma.LZMAError, EOFError, gzip.BadGzipFile, OSError) as error:
        raise StrataError(
            f"{owner}: {deb.name} is damaged ({error}); fetch it again, or lock again"
        ) from error
    return entries + status


def _ar_members(deb: Path, owner: str) -> Dict[str, Tuple[int, int]]:
    """Offset and size of each member."""
    members: Dict[str, Tuple[int, int]] = {}
    with open(deb, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise StrataError(f"{owner}: {deb.name} is not a Debian package; lock again")
        while True:
            header = file.read(_HEADER)
            if len(header) < _HEADER:
                return members
            name = header[:16].decode("ascii", "replace").strip().rstrip("/")
            size = int(header[48:58])
            members[name] = (file.tell(), size)
            file.seek(size + size % 2, os.SEEK_CUR)


def _unpack(
    deb: Path, members: Dict[str, Tuple[int, int]], stem: str, scratch: Path, owner: str
) -> Path:
    """Decompresses the member ``stem`` or ``stem.*`` to a file."""
    name = next((name for name in members if name == stem or name.startswith(f"{stem}.")), None)
    if name is None:
        raise StrataError(f"{owner}: {deb.name} has no {stem}; lock again")
    offset, size = members[name]
    # Two objects of a layer may read one package: each gets a file of its own.
    target = scratch / f"{deb.stem}-{len(list(scratch.iterdir()))}.{stem}"
    with open(deb, "rb") as file, open(target, "wb") as out:
        file.seek(offset)
        shutil.copyfileobj(_decompressor(name, _Limited(file, size), owner), out, 1 << 20)
    return target


class _Limited:
    """The next ``size`` bytes of a file, as a file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, count: int = -1) -> bytes:
        wanted = self._left if count < 0 else min(count, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def _decompressor(name: str, source: "_Limited", owner: str) -> IO[bytes]:
    suffix = name.rpartition(".")[2]
    stream: IO[bytes] = source  # type: ignore[assignment]
    if suffix == "xz":
        return lzma.LZMAFile(stream)
    if suffix == "gz":
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if suffix == "bz2":
        return bz2.BZ2File(stream)
    if suffix == "tar":
        return stream
    if suffix == "zst":
        try:
            import zstandard
        except ImportError as error:
            raise StrataError(
                f"{owner}: the package is compressed with zstd, and the zstandard library is not "
                "available in this process; set compression='zstd' on the layered_image"
            ) from error
        reader: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(stream)
        return reader
    raise StrataError(f"{owner}: the compression of {name} is not supported")


def _status_entries(control: Path, package: str) -> List[Entry]:
    entries = []
    with tarfile.open(control) as archive:
        for member in archive:
            name = posixpath.normpath(member.name)
            if name not in ("control", "md5sums"):
                continue
            content = archive.extractfile(member)
            assert content is not None
            data = content.read()
            suffix = "" if name == "control" else ".md5sums"
            entries.append(Entry(f"{_STATUS_FOLDER}/{package}{suffix}", content=data))
    return entries


def _data_entries(data: Path, owner: str) -> List[Entry]:
    found: Dict[str, Entry] = {}
    for unmerged in read_entries(data, owner):
        entry = _moved(unmerged)
        held = found.get(entry.path)
        if held is None:
            found[entry.path] = entry
        elif held.is_directory and entry.is_directory:
            continue
        elif _points_at_itself(held):
            found[entry.path] = entry
        elif not _points_at_itself(entry):
            raise StrataError(
                f"{owner}: the package has two files at /{entry.path} once /usr is merged; it "
                "cannot be used"
            )
    return relinked(entry for entry in found.values() if not _points_at_itself(entry))


def _moved(entry: Entry) -> Entry:
    """``entry`` where it lies with a merged /usr."""
    path = _merged(entry.path)
    if entry.type is EntryType.HARDLINK:
        return replace(entry, path=path, link=_merged(entry.link))
    if entry.type is EntryType.SYMLINK:
        return replace(entry, path=path, link=_relocated(entry.path, path, entry.link))
    return replace(entry, path=path)


def _merged(path: str) -> str:
    """Where a path lies with a merged /usr."""
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path


def _relocated(name: str, path: str, target: str) -> str:
    """A symbolic link's text that still means the same file after ``name`` became ``path``."""
    if name == path or target.startswith("/"):
        return target
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if meant.startswith(".."):
        return target
    moved = _merged(meant)
    relative = posixpath.relpath("/" + moved, "/" + posixpath.dirname(path))
    same = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) == moved
    return target if same else relative


def _points_at_itself(entry: Entry) -> bool:
    """Whether a link such as /bin/sh -> /usr/bin/sh lost its meaning when /usr was merged."""
    if entry.type is not EntryType.SYMLINK:
        return False
    meant = posixpath.normpath(posixpath.join("/", posixpath.dirname(entry.path), entry.link))
    return _merged(meant.lstrip("/")) == entry.path
