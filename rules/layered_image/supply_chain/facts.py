"""What a built image is known by: the facts that SBOMs and provenance are made of."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Sequence, Tuple

from pants.engine.target import Target

from layered_image.bases.base import LoadedBase
from layered_image.closure.collect import ImageClosure
from layered_image.fields.attestations import ImageAttestationsField
from layered_image.fields.metadata import ImageExtraBuildArgsField
from layered_image.fields.publishing import PUBLISH_FIELDS
from layered_image.fields.values import thawed
from layered_image.images.metadata import ImageMetadata
from layered_image.target_types import (
    ImageNameField,
    LayeredImageArchiveCompressionField,
    LayeredImageFormatsField,
)
from strata.closure.python.lock import Artifacts, artifact_hash
from strata.oci.image import Image, ImageLayer
from strata.supply_chain.facts import BaseOrigin, ImageFacts

_MEMBER_FACTS = ("name", "version", "dir_hash", "source")
#: Fields that say what is done with an image and not what it is.
_NOT_OF_THE_IMAGE = (
    ImageAttestationsField,
    ImageExtraBuildArgsField,
    LayeredImageArchiveCompressionField,
    LayeredImageFormatsField,
    *PUBLISH_FIELDS,
)


def image_metadata(
    target: Target,
    said: ImageMetadata,
    closure: ImageClosure,
    image: Image,
    base: Optional[LoadedBase],
) -> Dict[str, Any]:
    """What ``LoadedBase.metadata`` of an image has for those who are told about it."""
    below = json.loads(base.metadata) if base is not None else {}
    origins: Dict[str, Dict[str, Any]] = dict(below.get("origins", {}))
    held = {layer["digest"] for layer in below.get("layers", ())}
    for layer in image.layers:
        if layer.digest not in held:
            origins[layer.digest] = _origins(layer, closure)
    own = BaseOrigin(
        target.address.spec,
        name=image_name(target),
        digest=image.digest,
        layers=tuple(layer.digest for layer in image.layers),
    )
    return {
        "fields": shaping_fields(target, said),
        "origins": origins,
        "bases": [*below.get("bases", ()), own.to_json()],
    }


def _origins(layer: ImageLayer, closure: ImageClosure) -> Dict[str, Any]:
    names = [member["name"] for member in layer.members]
    return {name: closure.origins[name].to_json() for name in names if name in closure.origins}


def image_name(target: Target) -> str:
    return target[ImageNameField].value or target.address.target_name


def shaping_fields(target: Target, said: ImageMetadata) -> Dict[str, Any]:
    """The fields of this backend that are set and have a part in what the image is, as JSON.

    Labels and annotations are as they came out, ``said``: what filled their placeholders is no
    field.
    """
    filled = {"labels": dict(said.labels), "annotations": dict(said.annotations)}
    fields = {
        field.alias: thawed(field.value)
        for field in target.field_values.values()
        if type(field).__module__.startswith("layered_image.")
        and not isinstance(field, _NOT_OF_THE_IMAGE)
        and field.value != field.default
    }
    return {**fields, **{key: value for key, value in filled.items() if value}}


def lock_paths(metadata: Sequence[str]) -> Tuple[str, ...]:
    """The Python locks that images of ``metadata`` have wheels of."""
    found = {
        origin["lock"]
        for text in metadata
        for layer in json.loads(text)["origins"].values()
        for origin in layer.values()
        if "lock" in origin
    }
    return tuple(sorted(found))


def image_facts(metadata: str, locks: Dict[str, Artifacts]) -> ImageFacts:
    """``locks`` are by path: what they say of wheels is among the facts."""
    data = json.loads(metadata)
    *bases, own = data["bases"]
    config, closure = data["config"], data["closure"]
    versions = {
        (layer["digest"], member["name"]): member["version"]
        for layer in data["layers"]
        for member in layer["members"]
    }
    origins = {
        digest: {
            name: _locked(origin, versions[digest, name], locks) for name, origin in layer.items()
        }
        for digest, layer in data["origins"].items()
    }
    layers: List[Dict[str, Any]] = [
        {
            "digest": layer["digest"],
            "diff_id": layer["diff_id"],
            "members": [
                {key: member[key] for key in _MEMBER_FACTS if key in member}
                for member in layer["members"]
            ],
        }
        for layer in data["layers"]
    ]
    return ImageFacts(
        own["address"],
        own["name"],
        own["digest"],
        config["architecture"],
        config.get("variant", ""),
        config["created"],
        layers,
        origins,
        {name: item["references"] for name, item in closure["objects"].items()},
        closure["roots"],
        bases,
    )


def _locked(origin: Dict[str, Any], version: str, locks: Dict[str, Artifacts]) -> Dict[str, Any]:
    """``origin`` with the hash of what its lock means, and without the lock's path: where a lock
    lies is no fact about an image."""
    described = {key: value for key, value in origin.items() if key != "lock"}
    if "lock" in origin:
        sha256 = artifact_hash(locks[origin["lock"]], origin["name"], version, origin["file_name"])
        if sha256:
            described["sha256"] = sha256
    return described
