"""Referrers of a manifest: signatures, SBOMs, provenance (OCI distribution specification v1.1,
"Listing Referrers" and "Pushing Manifests with Subject").

Registries without a list of referrers get the fallback: an index under a tag made of the digest.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

from strata.registry.descriptor import Descriptor, Manifest
from strata.registry.errors import NotFound, RegistryError
from strata.registry.media_types import OCI_INDEX
from strata.registry.repository import Repository


def referrers(
    repository: Repository, digest: str, artifact_type: str = ""
) -> Tuple[Descriptor, ...]:
    """What refers to the manifest ``digest``, of one artifact type if one is given.

    Raises RegistryError.
    """
    found = repository.listed_referrers(digest)
    if found is None:
        found = _listed_by_tag(repository, digest)
    if not artifact_type:
        return found
    return tuple(item for item in found if item.extra.get("artifactType") == artifact_type)


def push_referrer(repository: Repository, manifest: Manifest) -> None:
    """Stores a manifest that has a ``subject``, so that ``referrers`` of that finds it. Its blobs
    must be there; the subject need not be.

    Two pushes at the same time to a registry without a list of referrers can lose one of them from
    the fallback tag: the specification has no way to prevent it.

    Raises StrataError for a manifest without subject.
    """
    subject = manifest.subject
    if subject is None:
        raise RegistryError(f"{manifest.digest}: it has no subject, so it refers to nothing")
    if repository.put_manifest(manifest):
        return
    if repository.listed_referrers(subject.digest) is not None:
        return
    known = _listed_by_tag(repository, subject.digest)
    if any(item.digest == manifest.digest for item in known):
        return
    index = _index((*known, manifest.referrer))
    repository.put_manifest(index, fallback_tag(subject.digest))


def is_listed(repository: Repository, manifest: Manifest) -> bool:
    """Whether ``referrers`` of its subject finds ``manifest``. Raises RegistryError."""
    subject = manifest.subject
    return subject is not None and any(
        item.digest == manifest.digest for item in referrers(repository, subject.digest)
    )


def fallback_tag(digest: str) -> str:
    """OCI distribution specification v1.1, "Referrers Tag Schema"."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm[:32]}-{encoded[:64]}"


def _listed_by_tag(repository: Repository, digest: str) -> Tuple[Descriptor, ...]:
    try:
        index = repository.manifest(fallback_tag(digest))
    except NotFound:
        return ()
    items: List[Any] = index.data.get("manifests") or []
    return tuple(Descriptor.from_json(item, f"{repository}: {index.digest}") for item in items)


def _index(items: Tuple[Descriptor, ...]) -> Manifest:
    data: Dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [item.to_json() for item in items],
    }
    return Manifest.from_bytes(json.dumps(data, separators=(",", ":")).encode())
