"""The lock of an ``image_base`` target: what a registry said of an image, to the byte.

A TOML file with the digest that a tag stood for, and with the index, the manifests and the
configurations below it. An image can be planned, and its metadata written, without the registry and
without a byte of the base's layers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from strata.errors import StrataError
from strata.oci.content import digest_of
from strata.toml_text import load_toml, quoted, typed

FORMAT = 1
_KEYS = {"format", "repository", "tag", "digest", "media_type", "content"}


@dataclass(frozen=True)
class BaseLock:
    """``repository`` has its registry's host in front. ``tag`` is what was asked for; empty if a
    digest was. ``digest`` and ``media_type`` are those of an image's manifest or of an index;
    ``contents`` maps digests to JSON texts."""

    repository: str
    tag: str
    digest: str
    media_type: str
    contents: Mapping[str, str]

    def read(self, path: str) -> Optional[bytes]:
        """A file of the image layout that the lock stands for, or None: layers are not there."""
        if path == "index.json":
            return json.dumps({"schemaVersion": 2, "manifests": [self.descriptor]}).encode()
        algorithm, _, encoded = path.removeprefix("blobs/").partition("/")
        text = self.contents.get(f"{algorithm}:{encoded}")
        return None if text is None else text.encode()

    @property
    def descriptor(self) -> Dict[str, Any]:
        size = len(self.contents[self.digest].encode())
        return {"mediaType": self.media_type, "digest": self.digest, "size": size}


def parse_base_lock(text: str, origin: str) -> BaseLock:
    """Raises StrataError, naming ``origin`` and the key, for anything but a valid lock."""
    data = load_toml(text, origin)
    if type(data.get("format")) is not int or data["format"] != FORMAT:
        raise StrataError(f"{origin}: 'format' must be {FORMAT}, not {data.get('format')!r}")
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise StrataError(f"{origin}: unknown key {unknown[0]!r}")
    contents: Dict[str, str] = {}
    for row in typed(data, "content", list, origin):
        if not isinstance(row, dict):
            raise StrataError(f"{origin}: 'content' must be a list of tables")
        digest, content = typed(row, "digest", str, origin), typed(row, "text", str, origin)
        found = digest_of(content.encode())
        if found != digest:
            raise StrataError(
                f"{origin}: the content of {digest} was changed: its digest is {found} now"
            )
        contents[digest] = content
    lock = BaseLock(
        typed(data, "repository", str, origin),
        typed(data, "tag", str, origin),
        typed(data, "digest", str, origin),
        typed(data, "media_type", str, origin),
        contents,
    )
    if lock.digest not in contents:
        raise StrataError(f"{origin}: 'content' has nothing for 'digest', {lock.digest}")
    return lock


def render_base_lock(lock: BaseLock, address: str) -> str:
    """The lock's text, with the index or manifest first."""
    command = f"pants generate-lockfiles --resolve={address}"
    lines = [
        f"# Written by `{command}`. Do not edit.",
        f"format = {FORMAT}",
        f"repository = {quoted(lock.repository)}",
        f"tag = {quoted(lock.tag)}",
        f"digest = {quoted(lock.digest)}",
        f"media_type = {quoted(lock.media_type)}",
    ]
    for digest in sorted(lock.contents, key=lambda item: (item != lock.digest, item)):
        text = lock.contents[digest]
        lines += ["", "[[content]]", f"digest = {quoted(digest)}", f"text = {quoted(text)}"]
    return "\n".join(lines) + "\n"


def stale_reason(lock: BaseLock, repository: str, tag: str, digest: str) -> Optional[str]:
    """Why a lock does not answer a request, or None if it does. ``tag`` or ``digest`` is empty."""
    asked: List[Tuple[str, str, str]] = [("repository", lock.repository, repository)]
    if digest:
        asked.append(("digest", lock.digest, digest))
    else:
        asked.append(("tag", lock.tag, tag))
    for what, locked, wanted in asked:
        if locked != wanted:
            return f"it was made for the {what} {locked!r}, and the target says {wanted!r}"
    return None
