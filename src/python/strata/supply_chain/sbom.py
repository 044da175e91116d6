"""An image's SBOM in CycloneDX 1.7 (ECMA-424), from what its build knows.

Equal facts give equal bytes: the serial number is made of the content, and the time is the image's
``created``.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Dict, Iterable, List

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion

import strata
from strata.supply_chain.facts import BaseOrigin, ImageFacts, Placed, placed_objects
from strata.supply_chain.packages import base_purl, image_purl, object_purl, source_purl

#: What properties of components are called.
ADDRESS = "strata:address"
LAYER_DIGEST = "strata:layer:digest"
LAYER_DIFF_ID = "strata:layer:diff-id"
DIR_HASH = "strata:files:dirHash"

_SERIALS = uuid.UUID("5a3d6f0e-6f0f-5d43-9d0b-5d3e9f8f0c11")
_NO_SERIAL = uuid.UUID(int=0)
_TYPES = {
    "package": ComponentType.APPLICATION,
    "file": ComponentType.FILE,
    "files": ComponentType.FILE,
    "certificates": ComponentType.DATA,
}


def write_sbom(facts: ImageFacts) -> bytes:
    """The SBOM's JSON text.

    Components are the image's objects and bases, each with the layers it is in, and dependencies
    are the references of the closure.
    """
    bom = _bom(facts)
    content = _text(bom)
    bom.serial_number = uuid.uuid5(_SERIALS, content)
    return f"{_text(bom)}\n".encode()


def _text(bom: Bom) -> str:
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_7)
    text: str = outputter.output_as_string(indent=2)
    return text


def _bom(facts: ImageFacts) -> Bom:
    image = Component(
        name=facts.name,
        version=facts.digest,
        type=ComponentType.CONTAINER,
        bom_ref=facts.digest,
        purl=image_purl(facts.name, facts.digest, facts.architecture),
        properties=[Property(name=ADDRESS, value=facts.address)],
    )
    objects = {placed.reference: _component(placed) for placed in placed_objects(facts)}
    bases = [_base(BaseOrigin.from_json(item), facts) for item in facts.bases]
    engine = Component(
        name="strata", version=strata.__version__, type=ComponentType.APPLICATION, bom_ref="strata"
    )
    bom = Bom(
        serial_number=_NO_SERIAL,
        metadata=BomMetaData(
            component=image,
            timestamp=datetime.fromisoformat(facts.created.replace("Z", "+00:00")),
            tools=ToolRepository(components=[engine]),
        ),
        components=[*objects.values(), *bases],
    )
    asked = {name for names in facts.roots.values() for name in names}
    bom.register_dependency(image, [*_named(sorted(asked), objects), *bases])
    for reference, component in objects.items():
        name = reference.partition("#")[0]
        bom.register_dependency(component, _named(facts.references.get(name, ()), objects))
    for base in bases:
        bom.register_dependency(base)
    return bom


def _named(names: Iterable[str], objects: Dict[str, Component]) -> List[Component]:
    """Those that are in the image: without its store, what it refers to lies elsewhere."""
    return [objects[name] for name in names if name in objects]


def _component(placed: Placed) -> Component:
    origin = placed.origin
    properties = [
        Property(name=LAYER_DIGEST, value=placed.layer),
        Property(name=LAYER_DIFF_ID, value=placed.diff_id),
    ]
    if origin.address:
        properties.append(Property(name=ADDRESS, value=origin.address))
    if placed.dir_hash:
        properties.append(Property(name=DIR_HASH, value=placed.dir_hash))
    source = source_purl(placed)
    kind, _, own_name = placed.name.partition(":")
    return Component(
        name=origin.name or own_name,
        version=placed.version or None,
        type=_TYPES.get(kind, ComponentType.LIBRARY),
        bom_ref=placed.reference,
        purl=object_purl(placed),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=origin.sha256)]
        if origin.sha256
        else [],
        licenses=_licenses(origin.licenses),
        properties=properties,
        pedigree=None
        if source is None
        else Pedigree(
            ancestors=[Component(name=source.name, version=source.version, purl=source)],
        ),
    )


def _licenses(texts: Iterable[str]) -> List[License]:
    """As the package declares them: SPDX identifiers or expressions where they are, else names."""
    factory, declared = LicenseFactory(), LicenseAcknowledgement.DECLARED
    found = [factory.make_from_string(text, license_acknowledgement=declared) for text in texts]
    if len(found) == 1:
        return found
    # An expression is only allowed alone.
    return [factory.make_with_name(text, license_acknowledgement=declared) for text in texts]


def _base(base: BaseOrigin, facts: ImageFacts) -> Component:
    diff_ids = {layer["digest"]: layer["diff_id"] for layer in facts.layers}
    properties = [Property(name=ADDRESS, value=base.address)]
    for digest in base.layers:
        properties.append(Property(name=LAYER_DIGEST, value=digest))
        properties.append(Property(name=LAYER_DIFF_ID, value=diff_ids[digest]))
    return Component(
        name=base.repository or base.name or base.address,
        version=base.digest or None,
        type=ComponentType.CONTAINER,
        bom_ref=f"base:{base.address}",
        purl=base_purl(base),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=base.sha256)] if base.sha256 else [],
        properties=properties,
    )
