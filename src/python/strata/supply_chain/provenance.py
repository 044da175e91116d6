"""How an image was built: SLSA Provenance v1 in an in-toto Statement v1.

Nothing of it depends on when or where the build ran.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence

from strata.supply_chain.artifacts import PREDICATE_TYPE
from strata.supply_chain.facts import BaseOrigin, ImageFacts, Placed, placed_objects
from strata.supply_chain.packages import base_purl, object_purl

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
#: Described in docs/supply-chain.md.
BUILD_TYPE = "urn:strata:layered-image:v1"


@dataclass(frozen=True)
class Build:
    """What a statement is about. ``name`` and ``digest`` are those of the image or index, and
    ``images`` are those of an index, or the one. ``parameters`` is all that a caller could choose
    (SLSA, "externalParameters"); ``versions`` are those of the builder's parts."""

    name: str
    digest: str
    images: Sequence[ImageFacts]
    parameters: Mapping[str, Any]
    builder: str
    versions: Mapping[str, str]


def write_provenance(build: Build) -> bytes:
    """The statement's JSON text."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(build),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(build.parameters),
                "resolvedDependencies": _dependencies(build.images),
            },
            "runDetails": {"builder": {"id": build.builder, "version": dict(build.versions)}},
        },
    }
    return f"{json.dumps(statement, indent=2, sort_keys=True, ensure_ascii=False)}\n".encode()


def _subjects(build: Build) -> List[Dict[str, Any]]:
    subjects = [{"name": build.name, "digest": _digest_set(build.digest)}]
    for image in build.images:
        if image.digest != build.digest:
            platform = "/".join(part for part in (image.architecture, image.variant) if part)
            name = f"{build.name} ({platform})"
            subjects.append({"name": name, "digest": _digest_set(image.digest)})
    return subjects


def _dependencies(images: Sequence[ImageFacts]) -> List[Dict[str, Any]]:
    """Each thing once, also where several images have it."""
    found: Dict[str, Dict[str, Any]] = {}
    for image in images:
        described = [_base(BaseOrigin.from_json(item)) for item in image.bases]
        described += [_object(placed) for placed in placed_objects(image)]
        for item in described:
            # One that nothing identifies would say nothing.
            if "uri" in item or "digest" in item:
                found[json.dumps(item, sort_keys=True)] = item
    return sorted(found.values(), key=lambda item: (item["name"], json.dumps(item, sort_keys=True)))


def _object(placed: Placed) -> Dict[str, Any]:
    origin, purl = placed.origin, object_purl(placed)
    result: Dict[str, Any] = {"name": origin.file_name or placed.name}
    if purl is not None:
        result["uri"] = purl.to_string()
    if origin.sha256:
        result["digest"] = {"sha256": origin.sha256}
    elif placed.dir_hash:
        result["digest"] = {"dirHash": placed.dir_hash}
    if origin.address:
        result["annotations"] = {"address": origin.address}
    return result


def _base(base: BaseOrigin) -> Dict[str, Any]:
    purl = base_purl(base)
    result: Dict[str, Any] = {
        "name": base.repository or base.name or base.address,
        "digest": _digest_set(base.digest) if base.digest else {"sha256": base.sha256},
        "annotations": {"address": base.address},
    }
    if purl is not None:
        result["uri"] = purl.to_string()
    return result


def _digest_set(digest: str) -> Dict[str, str]:
    algorithm, _, encoded = digest.partition(":")
    return {algorithm: encoded}
