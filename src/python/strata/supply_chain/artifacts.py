"""Files about images as artifacts of a registry (OCI image specification v1.1, "Guidelines for
Artifact Usage"): a manifest with the file as its one layer, and the image as its subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Sequence, Tuple

from strata.oci.content import blob_path, digest_of, json_bytes
from strata.oci.naming import INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE

SBOM_MEDIA_TYPE = "application/vnd.cyclonedx+json"
PROVENANCE_MEDIA_TYPE = "application/vnd.in-toto+json"
#: Of SLSA provenance.
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"

_EMPTY = b"{}"
_EMPTY_MEDIA_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class AttachedFile:
    """``subject`` is the descriptor of the image or index that the file is about. ``digest`` and
    ``size``, in bytes, are the file's; ``title`` is what it is called when it is fetched."""

    subject: Mapping[str, Any]
    media_type: str
    digest: str
    size: int
    title: str
    created: str
    annotations: Tuple[Tuple[str, str], ...] = ()


def attached(index: Mapping[str, Any], files: Sequence[AttachedFile]) -> Dict[str, bytes]:
    """Files of a layout, by path, that give it artifacts for ``files``: their manifests, and
    ``index.json``, which was ``index``. The blobs of ``files`` themselves come besides."""
    found = {blob_path(digest_of(_EMPTY)): _EMPTY}
    descriptors = list(index["manifests"])
    for file in files:
        manifest = json_bytes(_manifest(file))
        digest = digest_of(manifest)
        found[blob_path(digest)] = manifest
        descriptors.append(
            {
                "mediaType": MANIFEST_MEDIA_TYPE,
                "artifactType": file.media_type,
                "digest": digest,
                "size": len(manifest),
            }
        )
    found["index.json"] = json_bytes(
        {"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": descriptors}
    )
    return found


def _manifest(file: AttachedFile) -> Dict[str, Any]:
    subject = {key: file.subject[key] for key in ("mediaType", "digest", "size")}
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": file.media_type,
        "config": {
            "mediaType": _EMPTY_MEDIA_TYPE,
            "digest": digest_of(_EMPTY),
            "size": len(_EMPTY),
        },
        "layers": [
            {
                "mediaType": file.media_type,
                "digest": file.digest,
                "size": file.size,
                "annotations": {"org.opencontainers.image.title": file.title},
            }
        ],
        "subject": subject,
        "annotations": {"org.opencontainers.image.created": file.created, **dict(file.annotations)},
    }
