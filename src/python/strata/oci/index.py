"""Images for several platforms under one name (OCI image specification v1.1, "Image Index").

A layout names the index, and the index the images, so that whoever takes the image by its name gets
the one for their machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from strata.errors import StrataError
from strata.oci.content import blob_path, digest_of, json_bytes
from strata.oci.image import checked_name, checked_tag
from strata.oci.naming import INDEX_MEDIA_TYPE, named_index, named_rows, platform_tag
from strata.platforms import Platform


@dataclass(frozen=True)
class IndexedImage:
    """One image of an index. ``descriptor`` is its manifest's, with its platform; ``docker`` its
    entry of ``manifest.json``."""

    platform: Platform
    descriptor: Mapping[str, Any]
    docker: Mapping[str, Any]


@dataclass(frozen=True)
class ImageIndex:
    """``files`` are, by path, those of the layout that an image's own layout has not, or has with
    another content."""

    digest: str
    references: Tuple[str, ...]
    files: Mapping[str, bytes]


def build_index(
    name: str,
    tags: Sequence[str],
    images: Sequence[IndexedImage],
    annotations: Mapping[str, str] = {},
) -> ImageIndex:
    """An index of ``images``; without ``tags`` it is tagged by its content.

    Raises StrataError for a bad name or tag, for no images, and for two of one platform.
    """
    name = checked_name(name)
    platforms = [image.platform for image in images]
    settled = [platform.settled for platform in platforms]
    if not images:
        raise StrataError("an index needs at least one image")
    for platform in settled:
        if settled.count(platform) > 1:
            raise StrataError(f"two of its images are for {platform}; keep one of them")
    data: Dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": INDEX_MEDIA_TYPE,
        "manifests": [dict(image.descriptor) for image in images],
    }
    if annotations:
        data["annotations"] = dict(annotations)
    content = json_bytes(data)
    digest = digest_of(content)
    tags = list(tags) or [digest.partition(":")[2][:32]]
    for tag in tags:
        for platform in platforms:
            checked_tag(platform_tag(checked_tag(tag), platform))
    descriptor = {"mediaType": INDEX_MEDIA_TYPE, "digest": digest, "size": len(content)}
    references = [(name, tag) for tag in tags]
    files = {
        blob_path(digest): content,
        "index.json": json_bytes(named_index(descriptor, references)),
        "manifest.json": json_bytes(
            named_rows([image.docker for image in images], platforms, references)
        ),
    }
    return ImageIndex(digest, tuple(f"{name}:{tag}" for tag in tags), files)


def index_report(index: ImageIndex, reports: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """``image.json`` of an index: its own names and digest, and the ``reports`` of its images, by
    platform. ``size`` counts a layer that several have once, as a registry does."""
    sizes = {
        layer["digest"]: layer["size"] for report in reports.values() for layer in report["layers"]
    }
    return {
        "digest": index.digest,
        "references": list(index.references),
        "size": sum(sizes.values()),
        "platforms": {
            platform: {key: value for key, value in report.items() if key != "references"}
            for platform, report in reports.items()
        },
    }


def images_of(address: str, report: Mapping[str, Any]) -> Dict[str, Mapping[str, Any]]:
    """The reports of single images in ``report``, that of a target: by address, and for an index by
    address and platform."""
    if "platforms" not in report:
        return {address: report}
    return {
        f"{address} ({platform})": {"references": report["references"], **image}
        for platform, image in report["platforms"].items()
    }


def platforms_of(index: Mapping[str, Any]) -> List[Platform]:
    """The platforms of the images of an index, in its order."""
    return [
        Platform(item["platform"]["architecture"], item["platform"].get("variant", ""))
        for item in index["manifests"]
    ]
