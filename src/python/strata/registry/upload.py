"""Blobs from here to a registry (OCI distribution specification v1.1, "Pushing blobs").

A blob goes in one request, which every registry takes. Once that was cut, it goes on in chunks
from where the registry says it is, or anew where the registry has forgotten the upload: then a
further cut costs a chunk at most, where the registry keeps what it has.
"""

from __future__ import annotations

import enum
import re
import threading
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from strata.registry.authentication import Scopes
from strata.registry.body import BlobSource, Body, Cancelled, OnPosition, SourceBody
from strata.registry.descriptor import Descriptor
from strata.registry.endpoint import Endpoint, Interrupted, refusal
from strata.registry.errors import AccessDenied, RegistryError
from strata.registry.transport import Response
from strata.registry.url import Url

_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
_BYTES = {"Content-Type": "application/octet-stream"}
#: A registry that does not take chunks says so in one of these ways.
_NO_CHUNKS = (400, 405, 411, 415, 416, 501)


class BlobOutcome(enum.Enum):
    """What it took that a repository has a blob."""

    EXISTS = "exists"
    MOUNTED = "mounted"
    UPLOADED = "uploaded"


@dataclass(frozen=True)
class _Session:
    """An upload under way: where its next request goes, and how much the registry has."""

    url: Url
    offset: int = 0
    least_chunk: int = 0


class BlobUpload:
    """The upload of one blob to ``repository``. ``chunk_size`` is in bytes; 0 means no chunks.

    ``cancelled`` ends it between two pieces, with Cancelled.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        repository: str,
        descriptor: Descriptor,
        source: BlobSource,
        chunk_size: int,
        on_position: Optional[OnPosition] = None,
        cancelled: Optional[threading.Event] = None,
    ) -> None:
        self._endpoint = endpoint
        self._uploads = endpoint.url.below(f"/v2/{repository}/blobs/uploads/")
        self._scopes: Scopes = frozenset((f"repository:{repository}:pull,push",))
        self._what = f"{endpoint.url}/v2/{repository}: upload of {descriptor.digest}"
        self._descriptor = descriptor
        self._source = source
        self._chunk_size = chunk_size
        self._on_position = on_position
        self._cancelled = cancelled
        self._session: Optional[_Session] = None

    def run(self, mount_from: Sequence[str] = ()) -> Tuple[BlobOutcome, str]:
        """Mounts the blob from the first of the repositories ``mount_from`` that has it, or
        uploads it. The second value is the repository that it was mounted from.

        Raises RegistryError.
        """
        for repository in mount_from:
            if self._mount(repository):
                return BlobOutcome.MOUNTED, repository
        self._upload()
        return BlobOutcome.UPLOADED, ""

    def _mount(self, repository: str) -> bool:
        """If it does not work, the registry may begin an upload instead."""
        query = {"mount": self._descriptor.digest, "from": repository}
        url = self._uploads.below("", query)
        scopes = self._scopes | {f"repository:{repository}:pull"}
        try:
            response = self._endpoint.request("POST", url, scopes)
        except AccessDenied:
            # Who may not read there may still write here.
            return False
        if response.status == 202:
            self._session = self._following(response, url, 0)
        response.close()
        return response.status == 201

    def _begin(self) -> _Session:
        response = self._endpoint.request("POST", self._uploads, self._scopes)
        if response.status == 405:
            raise RegistryError(f"{refusal(response, self._what)}: is it read-only?", 405)
        if response.status != 202:
            raise refusal(response, self._what)
        return self._following(response, self._uploads, 0)

    def _upload(self) -> None:
        failures = furthest = chunk_size = 0
        refused_chunks = resumed = False
        while True:
            try:
                self._send(chunk_size)
                return
            except Interrupted as error:
                cut = error
            except RegistryError as error:
                if chunk_size and not refused_chunks and error.status in _NO_CHUNKS:
                    chunk_size, refused_chunks = 0, True
                elif error.status == 413 and not chunk_size and self._chunk_size:
                    # Whoever stands before the registry takes small bodies only.
                    chunk_size = self._chunk_size
                elif resumed and "DIGEST_INVALID" in error.codes:
                    resumed = False
                else:
                    raise
                self._session = None
                continue
            failures += 1
            self._endpoint.wait_or_give_up(failures, cut, self._what)
            self._session = self._resumed()
            if not refused_chunks:
                chunk_size = self._chunk_size
            if self._session is not None:
                resumed = True
                if self._session.offset > furthest:
                    furthest = self._session.offset
                    failures = 0

    def _send(self, chunk_size: int) -> None:
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancelled
        session = self._session = self._session or self._begin()
        size = self._descriptor.size
        step = max(chunk_size, session.least_chunk) if chunk_size else size
        if chunk_size or session.offset:
            while session.offset < size:
                session = self._session = self._sent(session, min(step, size - session.offset))
        url = session.url.with_query(digest=self._descriptor.digest)
        rest = self._part(session.offset, size - session.offset)
        response = self._endpoint.attempt("PUT", url, self._scopes, _BYTES, rest)
        if response.status not in (201, 204):
            raise self._refused(response)
        response.close()
        if self._on_position is not None:
            self._on_position(size)

    def _sent(self, session: _Session, size: int) -> _Session:
        end = session.offset + size
        headers = {**_BYTES, "Content-Range": f"{session.offset}-{end - 1}"}
        part = self._part(session.offset, size)
        response = self._endpoint.attempt("PATCH", session.url, self._scopes, headers, part)
        if response.status not in (201, 202, 204):
            raise self._refused(response)
        return self._following(response, session.url, end, session.least_chunk)

    def _refused(self, response: Response) -> RegistryError:
        if response.status == 404:
            response.close()
            return Interrupted(f"{self._what}: the registry knows nothing of it any more", 404)
        return refusal(response, self._what)

    def _resumed(self) -> Optional[_Session]:
        """The upload as the registry knows it; None if it does not."""
        session = self._session
        if session is None:
            return None
        response = self._endpoint.request("GET", session.url, self._scopes)
        match = _RANGE.fullmatch(response.header("Range"))
        # "0-0" is what an empty upload has, too: one byte is sent twice at worst, and noticed.
        offset = int(match[1]) + 1 if match and match[1] != "0" else 0
        if response.status not in (200, 202, 204) or offset > self._descriptor.size:
            response.close()
            return None
        return self._following(response, session.url, offset, session.least_chunk)

    def _part(self, offset: int, size: int) -> Body:
        return SourceBody(self._source, offset, size, self._on_position, self._cancelled)

    def _following(
        self, response: Response, url: Url, offset: int, least_chunk: int = 0
    ) -> _Session:
        with response:
            location = response.header("Location")
            least = response.header("OCI-Chunk-Min-Length")
        target = self._endpoint.followed(url, location) if location else url
        return _Session(target, offset, int(least) if least.isdigit() else least_chunk)
