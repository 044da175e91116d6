"""What a layer process is told about the files it was given.

A sandbox loses metadata: large files may be hard links with every execute bit set. So sizes,
hashes and the execute bit travel in a manifest, and never come from ``stat``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence

from strata.archive.entry import Entry, EntryType, FileRange, directory, symlink
from strata.errors import StrataError


@dataclass(frozen=True)
class ManifestFile:
    """A file, symbolic link or empty directory below an object's input directory.

    ``sha256`` is hex and set for files, ``target`` for links; a directory has neither. ``size`` is
    in bytes.
    """

    path: str
    sha256: str = ""
    size: int = 0
    executable: bool = False
    target: str = ""

    @property
    def is_file(self) -> bool:
        return bool(self.sha256)

    def to_json(self) -> List[Any]:
        return [self.path, self.sha256, self.size, int(self.executable), self.target]

    def entry(self, path: str, source: Path, mode: Optional[int] = None) -> Entry:
        """This file as a layer entry named ``path``, with its content below ``source``."""
        if self.target:
            return symlink(path, self.target)
        if not self.is_file:
            return directory(path)
        if mode is None:
            mode = 0o755 if self.executable else 0o644
        return Entry(path, EntryType.FILE, mode, content=FileRange(source / self.path, self.size))


def parse_manifest(rows: Sequence[Sequence[Any]]) -> List[ManifestFile]:
    """Raises StrataError for a row that is not as ``ManifestFile.to_json`` writes it."""
    files = []
    for row in rows:
        if len(row) != 5:
            raise StrataError(f"malformed manifest row: {row!r}")
        path, sha256, size, executable, target = row
        files.append(ManifestFile(path, sha256, size, bool(executable), target))
    return files
