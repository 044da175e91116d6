"""Config, manifest and index of an image, and the files of its layout.

Follows the OCI image specification v1.1 ("Image Configuration", "Image Manifest", "Image Index",
"Image Layout") and, for ``manifest.json``, the Docker image specification v1.2 ("Combined Image
JSON + Filesystem Changeset Format"). Everything here is small JSON; layers are named by digest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from strata.errors import StrataError
from strata.oci.content import blob_path, digest_of, json_bytes
from strata.oci.naming import (
    CONFIG_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    named_index,
    named_rows,
)

# Docker's reference grammar (distribution/reference), without a digest.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_NAME = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


# What a layer process reports about a blob, and an image repeats.
_MEASURED = ("digest", "size", "diff_id", "uncompressed_size", "media_type")


@dataclass(frozen=True)
class ImageLayer:
    """One layer's descriptor and what the image says about it. Sizes are in bytes."""

    digest: str
    size: int
    diff_id: str
    uncompressed_size: int
    media_type: str
    members: Tuple[Mapping[str, Any], ...] = ()
    reason: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any], reason: str) -> "ImageLayer":
        fields = {name: data[name] for name in data if name in _MEASURED}
        return cls(**fields, members=tuple(data["members"]), reason=reason)

    @property
    def descriptor(self) -> Dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class ImageSettings:
    """What an image has besides its layers. ``created`` is in seconds since the epoch;
    ``architecture`` and ``variant`` are as in Go (``amd64``, ``arm64`` and ``v8``)."""

    name: str
    tags: Tuple[str, ...] = ()
    architecture: str = "amd64"
    variant: str = ""
    created: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)
    base_layers: Tuple[ImageLayer, ...] = ()
    base_history: Tuple[Mapping[str, Any], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """``config`` is the whole configuration; ``files`` are all files of the layout but the
    layers' blobs, by path. ``descriptor`` and ``docker`` are what an index says of the image
    (``strata.oci.index.IndexedImage``)."""

    digest: str
    config_digest: str
    references: Tuple[str, ...]
    layers: Tuple[ImageLayer, ...]
    config: Mapping[str, Any]
    files: Mapping[str, bytes]
    descriptor: Mapping[str, Any]
    docker: Mapping[str, Any]

    @property
    def size(self) -> int:
        """What a registry stores for this image, in bytes."""
        return sum(layer.size for layer in self.layers)

    def report(self) -> Dict[str, Any]:
        """``image.json``: the image as tools and people want to know it."""
        return {
            "digest": self.digest,
            "config_digest": self.config_digest,
            "platform": self.descriptor["platform"],
            "references": list(self.references),
            "size": self.size,
            "layers": [
                {
                    **layer.descriptor,
                    "diff_id": layer.diff_id,
                    "uncompressed_size": layer.uncompressed_size,
                    "reason": layer.reason,
                    "members": list(layer.members),
                }
                for layer in self.layers
            ],
        }


def has_registry(name: str) -> bool:
    """Whether a repository name has a registry's host in front, by Docker's rule."""
    host, slash, _ = name.partition("/")
    return bool(slash) and (any(c in host for c in ".:") or host == "localhost")


def checked_name(name: str) -> str:
    """A repository name, lower-cased below its registry as dockerTools does it.

    Raises StrataError if it is none by Docker's reference grammar.
    """
    host, _, rest = name.partition("/")
    lowered = f"{host}/{rest.lower()}" if has_registry(name) else name.lower()
    if not _NAME.fullmatch(lowered):
        raise StrataError(
            f"{name!r} is not an image name: it may have letters, digits and, between those, "
            "'.', '_' and '-', with '/' between its parts and a registry's host in front"
        )
    return lowered


def checked_tag(tag: str) -> str:
    """Raises StrataError for what is no tag (OCI distribution specification, "Pulling")."""
    if not _TAG.fullmatch(tag):
        raise StrataError(
            f"{tag!r} is not a tag: it may have up to 128 letters, digits, '_', '.' and '-', and "
            "starts with a letter, a digit or '_'"
        )
    return tag


def split_reference(text: str) -> Tuple[str, str]:
    """Name and tag of ``NAME[:TAG]``; the tag defaults to ``latest``.

    Raises StrataError for what is neither.
    """
    head, slash, last = text.rpartition("/")
    last, _, tag = last.partition(":")
    return checked_name(f"{head}{slash}{last}"), checked_tag(tag or "latest")


def build_image(settings: ImageSettings, layers: Sequence[ImageLayer]) -> Image:
    """Raises StrataError for a bad name or tag. Without tags the image is tagged by its content."""
    name = checked_name(settings.name)
    stack = (*settings.base_layers, *layers)
    config_data = _config(settings, layers)
    config = json_bytes(config_data)
    config_digest = digest_of(config)
    manifest_data: Dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": {"mediaType": CONFIG_MEDIA_TYPE, "digest": config_digest, "size": len(config)},
        "layers": [layer.descriptor for layer in stack],
    }
    if settings.annotations:
        manifest_data["annotations"] = dict(settings.annotations)
    manifest = json_bytes(manifest_data)
    digest = digest_of(manifest)
    tags = [checked_tag(tag) for tag in settings.tags] or [digest.partition(":")[2][:32]]
    named = [(name, tag) for tag in tags]
    docker = _docker_row(config_digest, stack)
    descriptor = {
        "mediaType": MANIFEST_MEDIA_TYPE,
        "digest": digest,
        "size": len(manifest),
        "platform": _platform(settings),
    }
    files = {
        "oci-layout": json_bytes({"imageLayoutVersion": "1.0.0"}),
        "index.json": json_bytes(named_index(descriptor, named)),
        "manifest.json": json_bytes(named_rows([docker], (), named)),
        blob_path(config_digest): config,
        blob_path(digest): manifest,
    }
    return Image(
        digest,
        config_digest,
        tuple(f"{name}:{tag}" for tag in tags),
        stack,
        config_data,
        files,
        descriptor,
        docker,
    )


def _config(settings: ImageSettings, layers: Sequence[ImageLayer]) -> Dict[str, Any]:
    created = timestamp(settings.created)
    return {
        "created": created,
        **_platform(settings),
        "config": dict(settings.config),
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer.diff_id for layer in (*settings.base_layers, *layers)],
        },
        "history": [
            *settings.base_history,
            *(
                {"created": created, "created_by": "strata", "comment": _comment(layer)}
                for layer in layers
            ),
        ],
    }


def _comment(layer: ImageLayer) -> str:
    names = [f"{m['name']} {m['version']}".strip() for m in layer.members]
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _platform(settings: ImageSettings) -> Dict[str, str]:
    platform = {"architecture": settings.architecture, "os": "linux"}
    if settings.variant:
        platform["variant"] = settings.variant
    return platform


def _docker_row(config_digest: str, layers: Sequence[ImageLayer]) -> Dict[str, Any]:
    return {
        "Config": blob_path(config_digest),
        "Layers": [blob_path(layer.digest) for layer in layers],
    }


def timestamp(seconds: int) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str, now: Optional[int] = None) -> int:
    """Seconds since the epoch from ISO 8601 text (UTC unless it says otherwise), or ``now``.

    Raises StrataError for anything else.
    """
    if text == "now":
        if now is None:
            raise StrataError("'now' is not allowed here")
        return now
    try:
        moment = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
    except ValueError:
        raise StrataError(
            f"{text!r} is not an ISO 8601 time such as '1970-01-01T00:00:01Z'"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())
