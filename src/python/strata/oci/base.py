"""Base images: what another image's archive or layout says about itself.

Reads archives of ``docker save`` (Docker image specification v1.2) and OCI image layouts; an image
in both forms is read as the latter. Layers are kept as they are, byte for byte.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from strata.errors import StrataError
from strata.oci.content import blob_path
from strata.oci.image import ImageLayer
from strata.oci.naming import INDEX_MEDIA_TYPE
from strata.platforms import Platform, best_matches

_DOCKER_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": (
        "application/vnd.oci.image.layer.v1.tar+gzip"
    ),
}
_INDEXES = (INDEX_MEDIA_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")


@dataclass(frozen=True)
class BaseImage:
    """``config`` is the whole image configuration; ``layers`` are the bottom ones first."""

    config: Mapping[str, Any]
    layers: Tuple[ImageLayer, ...]


def read_layout(
    read: Callable[[str], Optional[bytes]], platform: Platform, origin: str
) -> BaseImage:
    """The image of an OCI layout. ``read`` gives a file's content by its path, or None.

    Raises StrataError for a layout without exactly one image for ``platform``.
    """
    index = _parsed(read, "index.json", origin)
    descriptor = _chosen(index.get("manifests", []), platform, origin)
    manifest = _parsed(read, blob_path(descriptor["digest"]), origin)
    while manifest.get("mediaType", descriptor.get("mediaType")) in _INDEXES:
        descriptor = _chosen(manifest.get("manifests", []), platform, origin)
        manifest = _parsed(read, blob_path(descriptor["digest"]), origin)
    config = _parsed(read, blob_path(manifest["config"]["digest"]), origin)
    _check_platform(config, platform, origin)
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(manifest["layers"]):
        raise StrataError(f"{origin}: its manifest and its configuration disagree about its layers")
    layers = [
        ImageLayer(
            digest=layer["digest"],
            size=layer["size"],
            diff_id=diff_id,
            uncompressed_size=0,
            media_type=_DOCKER_LAYERS.get(layer["mediaType"], layer["mediaType"]),
            reason="the base image",
        )
        for layer, diff_id in zip(manifest["layers"], diff_ids)
    ]
    return BaseImage(config, tuple(layers))


def _parsed(read: Callable[[str], Optional[bytes]], path: str, origin: str) -> Dict[str, Any]:
    content = read(path)
    if content is None:
        raise StrataError(f"{origin}: it is no image: {path} is missing")
    data = parsed_json(content, path, origin)
    if not isinstance(data, dict):
        raise StrataError(f"{origin}: {path} is no JSON object")
    return data


def parsed_json(content: bytes, path: str, origin: str) -> Any:
    """Raises StrataError for what is no JSON."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise StrataError(f"{origin}: {path} is no JSON: {error}") from error


def _chosen(
    manifests: Sequence[Mapping[str, Any]], platform: Platform, origin: str
) -> Mapping[str, Any]:
    by_digest = {item["digest"]: item for item in manifests}
    fitting = best_matches(list(by_digest.values()), platform)
    if len(fitting) != 1:
        found = ", ".join(sorted(_described(item.get("platform", {})) for item in manifests))
        raise StrataError(
            f"{origin}: it has {len(fitting)} images for {platform} (all: {found or 'none'}), and "
            "a base must have one"
        )
    return fitting[0]


def _described(platform: Mapping[str, Any]) -> str:
    words = (platform.get("architecture", "?"), platform.get("variant", ""))
    return "/".join(word for word in words if word)


def _check_platform(config: Mapping[str, Any], platform: Platform, origin: str) -> None:
    if not best_matches([{"platform": config}], platform):
        raise StrataError(
            f"{origin}: it is for {_described(config)}, and the image is for {platform}; change "
            "`architecture` or the base"
        )


def merged_config(base: Mapping[str, Any], config: Mapping[str, Any]) -> Dict[str, Any]:
    """The container configuration of an image on a base.

    What the image says replaces what the base says, key by key. ``Env`` is merged by variable,
    ``Labels``, ``ExposedPorts`` and ``Volumes`` by key; a new ``Entrypoint`` drops the base's
    ``Cmd``, which was meant for another program.
    """
    result = {key: value for key, value in base.items() if value not in (None, "", [], {})}
    if "Entrypoint" in config:
        result.pop("Cmd", None)
    for key, value in config.items():
        if key == "Env":
            variables = dict(item.split("=", 1) for item in result.get("Env", []))
            variables.update(item.split("=", 1) for item in value)
            result[key] = [f"{name}={text}" for name, text in variables.items()]
        elif key in ("ExposedPorts", "Labels", "Volumes"):
            result[key] = {**result.get(key, {}), **value}
        else:
            result[key] = value
    return result


def docker_layers(manifest: Sequence[Mapping[str, Any]], origin: str) -> Tuple[str, List[str]]:
    """The paths of the configuration and the layers in an archive of ``docker save``.

    Raises StrataError for an archive with several images.
    """
    if len(manifest) != 1:
        raise StrataError(f"{origin}: it has {len(manifest)} images, and a base must have one")
    return manifest[0]["Config"], list(manifest[0]["Layers"])
