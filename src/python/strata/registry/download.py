"""Blobs from a registry to files: resumed after a cut, and verified (OCI distribution
specification v1.1, "Pulling blobs")."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Iterator, Optional, Sequence

from strata.registry.authentication import Scopes
from strata.registry.body import OnPosition
from strata.registry.descriptor import Descriptor
from strata.registry.endpoint import Endpoint, Interrupted, refusal
from strata.registry.errors import DigestMismatch, RegistryError
from strata.registry.transport import CONNECTION_ERRORS
from strata.registry.url import Url

_PIECE = 256 << 10
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


def download(
    endpoints: Sequence[Endpoint],
    path_of_blob: str,
    scopes: Scopes,
    descriptor: Descriptor,
    destination: Path,
    on_position: Optional[OnPosition] = None,
) -> None:
    """Puts the blob at ``destination``, unless it is there already.

    Half of it is kept in ``<destination>.partial`` when everything fails, and the next call goes
    on from there. Processes that want the same blob wait for the first of them. Endpoints are
    tried in order; each goes on where the one before was cut.

    Raises the last endpoint's RegistryError, and DigestMismatch if all of them have other bytes.
    """
    if destination.exists():
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(destination.name + ".partial")
    with _locked(partial) as file:
        if destination.exists():
            partial.unlink()
            return
        for number, endpoint in enumerate(endpoints):
            url = endpoint.url.below(path_of_blob)
            try:
                _fill(endpoint, url, scopes, descriptor, file, on_position)
                break
            except DigestMismatch:
                file.truncate(0)
                if number == len(endpoints) - 1:
                    raise
            except RegistryError:
                if number == len(endpoints) - 1:
                    raise
        partial.replace(destination)


@contextlib.contextmanager
def _locked(partial: Path) -> Iterator[BinaryIO]:
    while True:
        with open(partial, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Who held the lock before may have moved or removed the file.
            if not partial.exists() or not partial.samefile(f"/proc/self/fd/{file.fileno()}"):
                continue
            yield file
            return


def _fill(
    endpoint: Endpoint,
    url: Url,
    scopes: Scopes,
    descriptor: Descriptor,
    file: BinaryIO,
    on_position: Optional[OnPosition],
) -> None:
    """Appends what is missing. A file of an earlier run that turns out wrong is begun anew once."""
    was_there = file.seek(0, 2)
    failures = 0
    while True:
        before = file.seek(0, 2)
        try:
            if before < descriptor.size or not descriptor.size:
                _append(endpoint, url, scopes, descriptor, file, on_position)
            break
        except CONNECTION_ERRORS as error:
            cut = Interrupted(f"{url}: {error or type(error).__name__}")
        except Interrupted as error:
            cut = error
        progressed = file.seek(0, 2) > before
        failures = 1 if progressed else failures + 1
        endpoint.wait_or_give_up(failures, cut)
    try:
        _verify(file, descriptor, str(url))
    except DigestMismatch:
        if not was_there:
            raise
        file.truncate(0)
        _fill(endpoint, url, scopes, descriptor, file, on_position)


def _append(
    endpoint: Endpoint,
    url: Url,
    scopes: Scopes,
    descriptor: Descriptor,
    file: BinaryIO,
    on_position: Optional[OnPosition],
) -> None:
    offset = file.seek(0, 2)
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    with endpoint.attempt("GET", url, scopes, headers) as response:
        if response.status == 206:
            match = _CONTENT_RANGE.match(response.header("Content-Range"))
            if match is None or int(match[1]) != offset:
                raise RegistryError(f"{url}: it gives another range than was asked for", 206)
        elif response.status in (200, 416):
            # It knows no ranges, or ours is none of this blob: from the start.
            file.truncate(0)
            offset = 0
            if response.status == 416:
                raise Interrupted(f"{url}: 416 {response.reason}", 416)
        else:
            raise refusal(response, f"{url}")
        while piece := response.read(_PIECE):
            offset += len(piece)
            if offset > descriptor.size:
                file.truncate(0)
                raise DigestMismatch(f"{url}: it has more than its {descriptor.size} bytes")
            file.write(piece)
            if on_position is not None:
                on_position(offset)
    file.flush()
    if offset < descriptor.size:
        raise DigestMismatch(f"{url}: it has {offset} bytes instead of {descriptor.size}")


def _verify(file: BinaryIO, descriptor: Descriptor, origin: str) -> None:
    algorithm = descriptor.digest.partition(":")[0]
    digest = hashlib.new(algorithm)
    file.seek(0)
    while piece := file.read(1 << 20):
        digest.update(piece)
    found = f"{algorithm}:{digest.hexdigest()}"
    if found != descriptor.digest:
        raise DigestMismatch(f"{origin}: its bytes have the digest {found}")
