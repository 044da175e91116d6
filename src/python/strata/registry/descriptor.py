"""Descriptors, and manifests with the bytes their digest is of (OCI image specification v1.1,
"Content Descriptors")."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from strata.registry.errors import DigestMismatch, RegistryError
from strata.registry.media_types import FOREIGN_LAYERS, INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST
from strata.registry.reference import is_digest


@dataclass(frozen=True)
class Descriptor:
    """``size`` is in bytes. ``extra`` has the descriptor's other keys, such as ``platform``."""

    media_type: str
    digest: str
    size: int
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @classmethod
    def from_json(cls, data: Any, origin: str) -> "Descriptor":
        """Raises RegistryError for what is none, naming ``origin``."""
        if (
            not isinstance(data, dict)
            or not isinstance(data.get("mediaType", ""), str)
            or not is_digest(str(data.get("digest")))
            or not isinstance(data.get("size"), int)
            or data["size"] < 0
        ):
            raise RegistryError(
                f"{origin}: {json.dumps(data)[:200]} is no descriptor: it needs a media type, a "
                "digest of SHA-256 or SHA-512, and a size"
            )
        known = ("mediaType", "digest", "size")
        extra = {key: value for key, value in data.items() if key not in known}
        return cls(data.get("mediaType", ""), data["digest"], data["size"], extra)

    def to_json(self) -> Dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
            **self.extra,
        }

    @property
    def is_foreign(self) -> bool:
        """Whether registries do not store it."""
        return self.media_type in FOREIGN_LAYERS and bool(self.extra.get("urls"))


@dataclass(frozen=True)
class Manifest:
    """A manifest of an image, an index or an artifact. ``content`` is what ``digest`` is of."""

    descriptor: Descriptor
    content: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, content: bytes, media_type: str = "", origin: str = "it") -> "Manifest":
        """``media_type`` is needed where the content itself does not say what it is.

        Raises RegistryError for what is no manifest.
        """
        data = _object(content, origin)
        own = data.get("mediaType")
        kind = own if isinstance(own, str) and own else media_type or _guessed(data)
        if kind not in MANIFESTS:
            raise RegistryError(
                f"{origin}: its media type is {kind!r}; manifests and indexes of OCI and Docker's "
                "schema 2 can be handled"
            )
        return cls(Descriptor(kind, digest_of(content), len(content)), content)

    @property
    def digest(self) -> str:
        return self.descriptor.digest

    @property
    def media_type(self) -> str:
        return self.descriptor.media_type

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def data(self) -> Dict[str, Any]:
        return _object(self.content, self.digest)

    @property
    def children(self) -> Tuple[Descriptor, ...]:
        """The manifests that an index lists, in its order; nothing for an image."""
        items: List[Any] = self.data.get("manifests") or [] if self.is_index else []
        return tuple(Descriptor.from_json(item, self.digest) for item in items)

    @property
    def blobs(self) -> Tuple[Descriptor, ...]:
        """Configuration and layers of an image, bottom one first; nothing for an index."""
        if self.is_index:
            return ()
        data = self.data
        items = [data.get("config"), *(data.get("layers") or [])]
        return tuple(Descriptor.from_json(item, self.digest) for item in items)

    @property
    def subject(self) -> Optional[Descriptor]:
        """The manifest that this one is about, if it is a referrer."""
        data = self.data.get("subject")
        return None if data is None else Descriptor.from_json(data, self.digest)

    @property
    def referrer(self) -> Descriptor:
        """The descriptor that a list of referrers has of this manifest (OCI distribution
        specification v1.1, "Listing Referrers")."""
        data = self.data
        config = data.get("config") or {}
        kind = data.get("artifactType") or config.get("mediaType")
        extra: Dict[str, Any] = {"artifactType": kind} if kind else {}
        if data.get("annotations"):
            extra["annotations"] = data["annotations"]
        own = self.descriptor
        return Descriptor(own.media_type, own.digest, own.size, extra)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def check_digest(content: bytes, digest: str, origin: str) -> None:
    """Raises DigestMismatch unless ``content`` is what ``digest`` names."""
    algorithm = digest.partition(":")[0]
    found = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    if found != digest:
        raise DigestMismatch(f"{origin}: its digest is {found}, and {digest} was asked for")


def _object(content: bytes, origin: str) -> Dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise RegistryError(f"{origin}: it is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise RegistryError(f"{origin}: it is no JSON object")
    return data


def _guessed(data: Mapping[str, Any]) -> str:
    """OCI manifests need not say what they are."""
    if "manifests" in data:
        return OCI_INDEX
    return OCI_MANIFEST if "layers" in data and "config" in data else ""
