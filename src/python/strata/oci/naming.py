"""How the files of a layout name what is in it: ``index.json``, and docker's ``manifest.json``.

A layout's names can stand for an index of images for several platforms. A docker manifest has no
such thing, and a Docker engine without containerd's image store keeps one image for a name. So
there each of several images is named after its platform (``app:1.2-arm64``), and the first one has
the plain names too.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from strata.oci.content import json_bytes
from strata.platforms import Platform

MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_MEDIA_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"

#: An image's name and one of its tags.
Reference = Tuple[str, str]


def named_index(descriptor: Mapping[str, Any], references: Sequence[Reference]) -> Dict[str, Any]:
    """``index.json`` with one descriptor for each reference: that is how a layout names several."""
    return {
        "schemaVersion": 2,
        "mediaType": INDEX_MEDIA_TYPE,
        "manifests": [
            {
                **descriptor,
                "annotations": {
                    "io.containerd.image.name": f"{name}:{tag}",
                    "org.opencontainers.image.ref.name": tag,
                },
            }
            for name, tag in references
        ],
    }


def named_rows(
    rows: Sequence[Mapping[str, Any]],
    platforms: Sequence[Platform],
    references: Sequence[Reference],
) -> List[Dict[str, Any]]:
    """Entries of ``manifest.json`` with the names that an index' ``references`` give them;
    ``platforms`` are those of the entries, or empty for an image of one platform."""
    plain = [f"{name}:{tag}" for name, tag in references]
    if not platforms:
        return [{**row, "RepoTags": plain} for row in rows]
    result = []
    for number, (row, platform) in enumerate(zip(rows, platforms)):
        names = [f"{name}:{platform_tag(tag, platform)}" for name, tag in references]
        result.append({**row, "RepoTags": names if number else [*plain, *names]})
    return result


def platform_tag(tag: str, platform: Platform) -> str:
    return f"{tag}-{str(platform).replace('/', '-')}"


def renamed(
    index: Mapping[str, Any],
    docker_manifest: Sequence[Mapping[str, Any]],
    references: Sequence[Reference],
    platforms: Sequence[Platform] = (),
) -> Tuple[bytes, bytes]:
    """``index.json`` and ``manifest.json`` of a layout whose one image, or index of images for
    ``platforms``, is named ``references``."""
    descriptor = {k: v for k, v in index["manifests"][0].items() if k != "annotations"}
    return (
        json_bytes({**index, "manifests": named_index(descriptor, references)["manifests"]}),
        json_bytes(named_rows(docker_manifest, platforms, references)),
    )
