"""One repository of a registry: what the rest of Strata reads from it and writes to it.

Reading tries mirrors in order and then the registry; writing goes to the registry. All methods may
be called by several threads at once, and raise RegistryError (``errors.py``).
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple, TypeVar

from strata.registry.authentication import Scopes
from strata.registry.body import BlobSource, BytesBody, OnPosition
from strata.registry.descriptor import Descriptor, Manifest, check_digest
from strata.registry.download import download
from strata.registry.endpoint import Endpoint, refusal
from strata.registry.errors import DigestMismatch, NotFound, RegistryError
from strata.registry.media_types import MANIFESTS
from strata.registry.reference import Reference, is_digest
from strata.registry.transport import Response
from strata.registry.upload import BlobOutcome, BlobUpload

_LONGEST_MANIFEST = 8 << 20
_LONGEST_PAGE = 8 << 20
_ACCEPT = {"Accept": ", ".join(MANIFESTS)}

_Result = TypeVar("_Result")


class Repository:
    """Get one from ``RegistryClient.repository``. ``endpoints`` are the mirrors and, as the last
    one, the registry itself. ``chunk_size`` is as in ``ClientSettings``, and
    ``cancelled`` as in ``RegistryClient``."""

    def __init__(
        self,
        name: Reference,
        endpoints: Sequence[Endpoint],
        chunk_size: int,
        cancelled: threading.Event,
    ) -> None:
        self.cancelled = cancelled
        self.registry = name.registry
        self.name = name.repository
        self._endpoints = endpoints
        self._chunk_size = chunk_size
        self._pull: Scopes = frozenset((f"repository:{self.name}:pull",))
        self._push: Scopes = frozenset((f"repository:{self.name}:pull,push",))

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"

    @property
    def _origin(self) -> Endpoint:
        return self._endpoints[-1]

    # Reading

    def manifest(self, tag_or_digest: str) -> Manifest:
        """A manifest or index with its bytes, verified if it is asked for by digest.

        Raises NotFound if there is none.
        """
        return self._first(lambda endpoint: self._manifest_at(endpoint, tag_or_digest, self._pull))

    def resolve(self, tag_or_digest: str) -> Optional[Descriptor]:
        """The descriptor of a manifest, with ``HEAD`` where that says enough; None if there is no
        such manifest in the registry. Mirrors are not asked."""
        url = self._origin.url.below(self._path("manifests", tag_or_digest))
        response = self._origin.request("HEAD", url, self._pull, _ACCEPT)
        if response.status == 404:
            response.close()
            return None
        if response.status != 200:
            raise refusal(response, f"{self}: {tag_or_digest}")
        response.close()
        digest = response.header("Docker-Content-Digest")
        media_type = response.header("Content-Type").partition(";")[0].strip()
        if is_digest(digest) and media_type in MANIFESTS and response.length:
            if is_digest(tag_or_digest) and digest != tag_or_digest:
                raise DigestMismatch(f"{self}: {tag_or_digest} was asked for, it has {digest}")
            return Descriptor(media_type, digest, response.length)
        try:
            return self._manifest_at(self._origin, tag_or_digest, self._pull).descriptor
        except NotFound:
            return None

    def read_blob(self, descriptor: Descriptor, limit: int = 8 << 20) -> bytes:
        """A small blob, such as an image's configuration, of at most ``limit`` bytes, verified."""
        if descriptor.size > limit:
            raise RegistryError(
                f"{self}: {descriptor.digest} has {descriptor.size} bytes; at most {limit} are "
                "sensible for what it is"
            )

        def read(endpoint: Endpoint) -> bytes:
            url = endpoint.url.below(self._path("blobs", descriptor.digest))
            response, content = endpoint.fetch("GET", url, self._pull, limit)
            if response.status != 200:
                raise refusal(response, f"{self}: blob {descriptor.digest}", content)
            check_digest(content, descriptor.digest, str(url))
            return content

        return self._first(read)

    def download_blob(
        self,
        descriptor: Descriptor,
        destination: Path,
        on_position: Optional[OnPosition] = None,
    ) -> None:
        """Puts a blob into a file: verified, and complete or not there.

        A cut connection is taken up where it was, also by the next call, and at the next mirror.
        Several processes may want the same ``destination``. ``on_position`` is told how many
        bytes are there.
        """
        path = self._path("blobs", descriptor.digest)
        download(self._usable(), path, self._pull, descriptor, destination, on_position)

    def tags(self) -> Tuple[str, ...]:
        """All tags (OCI distribution specification v1.1, "Listing Tags")."""
        found: List[str] = []
        url = self._origin.url.below(f"/v2/{self.name}/tags/list")
        while True:
            response, content = self._origin.fetch("GET", url, self._pull, _LONGEST_PAGE)
            if response.status != 200:
                raise refusal(response, f"{self}: its tags", content)
            found += _parsed(content, f"{self}: its tags").get("tags") or []
            following = _next_page(response)
            if not following:
                return tuple(found)
            url = self._origin.followed(url, following)

    # Writing

    def has_blob(self, digest: str) -> bool:
        url = self._origin.url.below(self._path("blobs", digest))
        # Who asks this writes next: the token for both saves another.
        response = self._origin.request("HEAD", url, self._push)
        if response.status not in (200, 404):
            raise refusal(response, f"{self}: blob {digest}")
        response.close()
        return response.status == 200

    def push_blob(
        self,
        descriptor: Descriptor,
        source: BlobSource,
        mount_from: Sequence[str] = (),
        on_position: Optional[OnPosition] = None,
    ) -> Tuple[BlobOutcome, str]:
        """Makes sure that the registry has a blob here, sending its bytes only if it must.

        ``mount_from`` are repositories of the same registry that may have it, without the
        registry's host. The second value is the one that it was mounted from. ``on_position`` is
        told how many bytes are through. Raises Cancelled soon after ``cancelled`` is set.
        """
        if self.has_blob(descriptor.digest):
            return BlobOutcome.EXISTS, ""
        upload = BlobUpload(
            self._origin,
            self.name,
            descriptor,
            source,
            self._chunk_size,
            on_position,
            self.cancelled,
        )
        return upload.run(mount_from)

    def put_manifest(self, manifest: Manifest, tag: str = "") -> str:
        """Stores a manifest under its digest, or under ``tag``. What it refers to must be there.

        The digest of the subject that the registry registered it for (``OCI-Subject``), or "".
        """
        name = tag or manifest.digest
        url = self._origin.url.below(self._path("manifests", name))
        headers = {"Content-Type": manifest.media_type}
        body = BytesBody(manifest.content)
        response = self._origin.request("PUT", url, self._push, headers, body)
        if response.status not in (200, 201, 202):
            raise refusal(response, f"{self}: manifest {name}")
        response.close()
        stored = response.header("Docker-Content-Digest")
        if stored and is_digest(stored) and stored != manifest.digest:
            raise DigestMismatch(
                f"{self}: the registry stored {manifest.digest} as {stored}: it changes manifests"
            )
        return response.header("OCI-Subject")

    # Referrers

    def listed_referrers(self, digest: str) -> Optional[Tuple[Descriptor, ...]]:
        """What the registry lists as referrers of a manifest; None if it has no such list (OCI
        distribution specification v1.1, "Listing Referrers"). Use ``referrers.py``, which knows
        what to do then."""
        found: List[Descriptor] = []
        url = self._origin.url.below(self._path("referrers", digest))
        while True:
            response, content = self._origin.fetch("GET", url, self._pull, _LONGEST_PAGE)
            if response.status in (400, 404, 405):
                return None
            if response.status != 200:
                raise refusal(response, f"{self}: referrers of {digest}", content)
            origin = f"{self}: referrers of {digest}"
            manifests = _parsed(content, origin).get("manifests") or []
            found += [Descriptor.from_json(item, origin) for item in manifests]
            following = _next_page(response)
            if not following:
                return tuple(found)
            url = self._origin.followed(url, following)

    def _path(self, kind: str, name: str) -> str:
        return f"/v2/{self.name}/{kind}/{urllib.parse.quote(name, safe=':')}"

    def _usable(self) -> Sequence[Endpoint]:
        mirrors = [endpoint for endpoint in self._endpoints[:-1] if not endpoint.is_down]
        return [*mirrors, self._origin]

    def _first(self, read: Callable[[Endpoint], _Result]) -> _Result:
        """What the first endpoint gives that can; the registry's own error if none does."""
        for endpoint in self._usable()[:-1]:
            try:
                return read(endpoint)
            except RegistryError:
                continue
        return read(self._origin)

    def _manifest_at(self, endpoint: Endpoint, tag_or_digest: str, scopes: Scopes) -> Manifest:
        url = endpoint.url.below(self._path("manifests", tag_or_digest))
        response, content = endpoint.fetch("GET", url, scopes, _LONGEST_MANIFEST, _ACCEPT)
        origin = f"{self}: {tag_or_digest}"
        if response.status != 200:
            raise refusal(response, origin, content)
        stated = response.header("Docker-Content-Digest")
        for digest in (tag_or_digest, stated):
            if is_digest(digest):
                check_digest(content, digest, origin)
        media_type = response.header("Content-Type").partition(";")[0].strip()
        return Manifest.from_bytes(content, media_type, origin)


def _parsed(content: bytes, origin: str) -> Mapping[str, Any]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise RegistryError(f"{origin}: the answer is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise RegistryError(f"{origin}: the answer is no JSON object")
    return data


def _next_page(response: Response) -> str:
    """The target of a ``Link`` header (RFC 8288) of the relation ``next``."""
    for link in response.all_headers("Link"):
        target, _, parameters = link.partition(">")
        if 'rel="next"' in parameters or "rel=next" in parameters:
            return target.strip().lstrip("<")
    return ""
