"""What a signing command answers with: an OCI image layout in a tar archive.

Each manifest that its ``index.json`` lists is attached to the image in one of two ways, or both:

- it has the image's manifest for its ``subject`` (OCI image specification v1.1, "Image Manifest"),
  and so is a referrer;
- its annotation ``org.opencontainers.image.ref.name`` is the tag under which cosign looks for what
  belongs to an image: ``sha256-<hex>.sig``.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Tuple

from strata.errors import StrataError
from strata.registry.descriptor import Descriptor, Manifest, check_digest
from strata.registry.layout import Layout
from strata.registry.referrers import fallback_tag

_MEMBER = re.compile(r"(?:\./)?(oci-layout|index\.json|blobs/[a-z0-9]+/[0-9a-f]+)")
#: Of signatures, attestations and SBOMs.
_SUFFIXES = ("sig", "att", "sbom")
_REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Attachment:
    """``tag`` is empty for what is a referrer alone."""

    manifest: Manifest
    tag: str


@dataclass(frozen=True)
class Answer:
    """``layout`` has the blobs of ``attachments``, verified. No attachments mean that the command
    has nothing to add."""

    layout: Layout
    attachments: Tuple[Attachment, ...]


def read_answer(content: bytes, subject: Descriptor, folder: Path) -> Answer:
    """``content`` is about ``subject``; ``folder`` is an empty one for its files.

    Raises StrataError for what is no archive of a layout, for damaged or missing blobs, and for
    manifests that do not belong to ``subject``.
    """
    _unpack(content, folder)
    layout = Layout(folder)
    path = folder / "index.json"
    try:
        data: Any = json.loads(path.read_bytes())
        items = list(data["manifests"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StrataError(f"its archive has no index.json of an OCI layout: {error}") from error
    found = [_attachment(layout, item) for item in items]
    digests = {subject.digest, *(item.manifest.digest for item in found)}
    for item in found:
        _check(layout, item, subject, digests)
    return Answer(layout, tuple(found))


def _unpack(content: bytes, folder: Path) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                name = _MEMBER.fullmatch(member.name)
                if name is None or not member.isfile():
                    continue
                stream = archive.extractfile(member)
                assert stream is not None
                path = folder / name[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(stream.read())
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise StrataError(
            f"what it wrote to standard output is no tar archive of an OCI layout ({error}); a "
            "command's messages belong on standard error"
        ) from error


def _attachment(layout: Layout, item: Any) -> Attachment:
    descriptor = Descriptor.from_json(item, "index.json of its archive")
    manifest = Manifest.from_bytes(
        _blob(layout, descriptor), descriptor.media_type, f"its manifest {descriptor.digest}"
    )
    annotations = descriptor.extra.get("annotations") or {}
    return Attachment(manifest, str(annotations.get(_REF_NAME, "")))


def _check(layout: Layout, item: Attachment, subject: Descriptor, digests: "set[str]") -> None:
    manifest = item.manifest
    if manifest.is_index:
        raise StrataError(f"its manifest {manifest.digest} is an index; a signature is none")
    tags: List[str] = [f"{fallback_tag(subject.digest)}.{suffix}" for suffix in _SUFFIXES]
    if item.tag and item.tag not in tags:
        raise StrataError(
            f"its manifest {manifest.digest} is to be tagged {item.tag!r}; tags for "
            f"{subject.digest} are {', '.join(tags)}"
        )
    about = manifest.subject
    if about is not None and about.digest not in digests:
        raise StrataError(
            f"its manifest {manifest.digest} is about {about.digest}, and {subject.digest} was to "
            "be signed"
        )
    if about is None and not item.tag:
        raise StrataError(
            f"its manifest {manifest.digest} has neither a subject nor the annotation {_REF_NAME}: "
            "nobody would find it"
        )
    for blob in manifest.blobs:
        _blob(layout, blob)


def _blob(layout: Layout, descriptor: Descriptor) -> bytes:
    path = layout.blob_path(descriptor.digest)
    if path is None:
        raise StrataError(f"its archive lacks the blob {descriptor.digest}")
    content = path.read_bytes()
    check_digest(content, descriptor.digest, "its archive")
    if len(content) != descriptor.size:
        raise StrataError(
            f"its archive says that {descriptor.digest} has {descriptor.size} bytes, and it has "
            f"{len(content)}"
        )
    return content
