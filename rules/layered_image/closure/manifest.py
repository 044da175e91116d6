"""Manifests of digests: what a sandbox would not keep, in a file beside the content."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Iterable, Tuple, Union

from pants.engine.fs import (
    CreateDigest,
    Digest,
    Directory,
    FileContent,
    FileEntry,
    SymlinkEntry,
)
from pants.util.logging import LogLevel

from layered_image.engine import collect_rules, create_digest, rule
from strata.closure.manifest import ManifestFile

Entry = Union[FileEntry, SymlinkEntry, Directory]
CONTENT = "content"


@dataclass(frozen=True)
class DescribeRequest:
    entries: Tuple[Entry, ...]


@dataclass(frozen=True)
class DescribedContent:
    """``digest`` holds ``content/`` and ``manifest.json``; ``size`` is in bytes."""

    digest: Digest
    size: int


def manifest_file(entry: Entry) -> ManifestFile:
    if isinstance(entry, FileEntry):
        return ManifestFile(
            entry.path,
            sha256=entry.file_digest.fingerprint,
            size=entry.file_digest.serialized_bytes_length,
            executable=entry.is_executable,
        )
    if isinstance(entry, SymlinkEntry):
        return ManifestFile(entry.path, target=entry.target)
    return ManifestFile(entry.path)


def moved(entry: Entry, path: str) -> Entry:
    """``entry`` at another path."""
    if isinstance(entry, FileEntry):
        return FileEntry(path, entry.file_digest, entry.is_executable)
    if isinstance(entry, SymlinkEntry):
        return SymlinkEntry(path, entry.target)
    return Directory(path)


def size_of(entries: Iterable[Entry]) -> int:
    return sum(
        entry.file_digest.serialized_bytes_length
        for entry in entries
        if isinstance(entry, FileEntry)
    )


@rule(desc="Describe an object's files", level=LogLevel.DEBUG)
async def describe_content(request: DescribeRequest) -> DescribedContent:
    entries = sorted(request.entries, key=lambda entry: entry.path)
    rows = [manifest_file(entry).to_json() for entry in entries]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    placed = [moved(entry, f"{CONTENT}/{entry.path}") for entry in entries]
    digest = await create_digest(
        CreateDigest([*placed, FileContent("manifest.json", text.encode())])
    )
    return DescribedContent(digest, size_of(entries))


def rules():
    return collect_rules()
