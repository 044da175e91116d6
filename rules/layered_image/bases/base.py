"""Base images: another ``layered_image``, or an archive that a ``file`` target names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Iterable, Optional, Tuple

from pants.core.util_rules.source_files import SourceFilesRequest
from pants.engine.addresses import Address, Addresses, UnparsedAddressInputs
from pants.engine.fs import Digest, DigestSubset, FileEntry, PathGlobs
from pants.engine.target import SourcesField, Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.provider import RootEntry
from layered_image.derived_target_types import ImageIndexImagesField
from layered_image.engine import (
    collect_rules,
    determine_source_files,
    digest_subset_to_digest,
    get_digest_contents,
    get_digest_entries,
    implicitly,
    resolve_targets,
    resolve_unparsed_address_inputs,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.fields.platforms import checked_platform
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.target_types import LayeredImageBaseField
from strata.oci.base import BaseImage
from strata.oci.content import blob_path
from strata.oci.image import ImageLayer
from strata.oci.root import ImageRoot
from strata.platforms import Platform
from strata.supply_chain.facts import BaseOrigin


@dataclass(frozen=True)
class BaseTargetRequest:
    image: Target
    platform: Platform


@dataclass(frozen=True)
class BaseTarget:
    target: Target


@dataclass(frozen=True)
class BaseArchiveRequest:
    address: Address
    target: Target
    platform: Platform
    compression: str


@dataclass(frozen=True)
class LoadedBase:
    """``blobs`` holds at least the layers, at their paths in a layout. ``metadata`` is JSON text
    with the image's ``config`` and ``layers`` (``strata.commands.base``), and ``bases``: itself and
    what is below it (``strata.supply_chain.facts.BaseOrigin``).

    ``held`` are the objects in the layers by name, with what tells whether another image would
    build the same; ``listings`` hold ``listings.json`` with their paths. An archive has neither.
    """

    blobs: Digest
    metadata: str
    held: FrozenDict = field(default_factory=FrozenDict)
    listings: Tuple[Digest, ...] = ()


@dataclass(frozen=True)
class ScanBaseRequest:
    image: Address
    base: LoadedBase


@dataclass(frozen=True)
class BaseRoot:
    """``digest`` holds ``root.json``, and ``text`` is its content (``strata.oci.root``)."""

    digest: Digest
    text: str


@rule(desc="Find a base image", level=LogLevel.DEBUG)
async def find_base_target(request: BaseTargetRequest) -> BaseTarget:
    """Of an ``image_index`` the image for the platform."""
    image = request.image
    field = image[LayeredImageBaseField]
    addresses = await resolve_unparsed_address_inputs(
        UnparsedAddressInputs(
            [field.value or ""],
            owning_address=image.address,
            description_of_origin=f"the `{field.alias}` field of {image.address}",
        ),
        **implicitly(),
    )
    targets = await resolve_targets(**implicitly({addresses: Addresses}))
    if len(targets) != 1:
        raise LayeredImageError(
            image.address, f"{field.value} stands for {len(targets)} targets; name one", field.alias
        )
    target = targets[0]
    if target.has_field(ImageIndexImagesField):
        inside = await resolve_unparsed_address_inputs(
            target[ImageIndexImagesField].to_unparsed_address_inputs(), **implicitly()
        )
        images = await resolve_targets(**implicitly({inside: Addresses}))
        target = checked_platform(images, request.platform, image.address, field.alias)
    elif target.has_field(LayeredImageBaseField):
        checked_platform([target], request.platform, image.address, field.alias)
    return BaseTarget(target)


@rule(desc="Take a base image's archive apart", level=LogLevel.DEBUG)
async def load_base_archive(request: BaseArchiveRequest) -> LoadedBase:
    target = request.target
    if not target.has_field(SourcesField):
        raise LayeredImageError(
            request.address,
            f"{target.address} (a `{target.alias}`) is no base: name a layered_image, or a file "
            "that is an image archive",
            LayeredImageBaseField.alias,
        )
    sources = await determine_source_files(SourceFilesRequest([target[SourcesField]]))
    if len(sources.snapshot.files) != 1:
        raise LayeredImageError(
            request.address, f"{target.address} is not one file", LayeredImageBaseField.alias
        )
    source = sources.snapshot.files[0]
    spec = {"source": source, "origin": source, "architecture": str(request.platform)}
    result = await run_strata(
        StrataRequest(
            command="base",
            spec=json.dumps(spec, sort_keys=True),
            description=f"Take the base image {target.address} apart",
            input_digest=sources.snapshot.digest,
            output_files=("base.json",),
            output_directories=("blobs",),
            compression=request.compression,
        ),
        **implicitly(),
    )
    if result.error:
        raise LayeredImageError(request.address, result.error, LayeredImageBaseField.alias)
    described = await digest_subset_to_digest(DigestSubset(result.digest, PathGlobs(["base.json"])))
    contents = await get_digest_contents(described)
    found = json.loads(contents[0].content)
    entries = await get_digest_entries(sources.snapshot.digest)
    archive = BaseOrigin(
        target.address.spec,
        sha256=next(e.file_digest.fingerprint for e in entries if isinstance(e, FileEntry)),
        layers=tuple(layer["digest"] for layer in found["layers"]),
    )
    return LoadedBase(result.digest, json.dumps({**found, "bases": [archive.to_json()]}))


@rule(desc="Look into a base image", level=LogLevel.DEBUG)
async def scan_base(request: ScanBaseRequest) -> BaseRoot:
    """Keyed by the base's layers, so all images on one base share it."""
    layers = json.loads(request.base.metadata)["layers"]
    paths = [blob_path(layer["digest"]) for layer in layers]
    blobs = await digest_subset_to_digest(DigestSubset(request.base.blobs, PathGlobs(paths)))
    spec = {"origin": "the base image", "layers": paths}
    compressions = [layer["media_type"].rpartition("+")[2] for layer in layers]
    result = await run_strata(
        StrataRequest(
            command="scan",
            spec=json.dumps(spec, sort_keys=True),
            description=f"Look into {len(paths)} layers of a base image",
            input_digest=blobs,
            output_files=("root.json",),
            compression="zstd" if "zstd" in compressions else "none",
        ),
        **implicitly(),
    )
    if result.error:
        raise LayeredImageError(request.image, result.error, LayeredImageBaseField.alias)
    contents = await get_digest_contents(result.digest)
    return BaseRoot(result.digest, contents[0].content.decode())


def check_root(image: Target, root: ImageRoot, entries: Iterable[RootEntry]) -> None:
    """``entries`` are what ``image`` declares. Raises LayeredImageError for a link where the base
    has a folder: the link would hide what is in it."""
    for entry in entries:
        if entry.type == "symlink" and root.top.get(entry.path) == "directory":
            raise LayeredImageError(
                image.address,
                f"the base image has a folder at /{entry.path}, where this image needs a link to "
                f"{entry.target}: it is older than the merge of /usr. Use a newer base, or one "
                "without the packages that this image brings",
                LayeredImageBaseField.alias,
            )


def checked_base(image: Target, loaded: Optional[LoadedBase]) -> BaseImage:
    """What ``image`` builds on; nothing if ``loaded`` is None.

    Raises LayeredImageError for a base of another architecture.
    """
    if loaded is None:
        return BaseImage({}, ())
    data = json.loads(loaded.metadata)
    return BaseImage(
        data["config"],
        tuple(ImageLayer.from_json(layer, layer["reason"]) for layer in data["layers"]),
    )


def rules():
    return collect_rules()
