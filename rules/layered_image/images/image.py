"""From a ``layered_image`` target to its image for one platform: bases, layers, metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Tuple

from pants.engine.addresses import Address
from pants.engine.fs import (
    CreateDigest,
    Digest,
    DigestSubset,
    FileContent,
    MergeDigests,
    PathGlobs,
)
from pants.engine.target import Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.bases.base import (
    BaseArchiveRequest,
    BaseTargetRequest,
    LoadedBase,
    checked_base,
    find_base_target,
    load_base_archive,
)
from layered_image.bases.registry_base import RegistryBaseRequest, load_registry_base
from layered_image.bases.target_types import ImageBaseRepositoryField
from layered_image.closure.collect import ImageClosure, ImageClosureRequest, find_image_closure
from layered_image.engine import (
    collect_rules,
    create_digest,
    digest_subset_to_digest,
    implicitly,
    merge_digests,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.fields.values import thawed
from layered_image.images.clock import ClockRequest, read_clock
from layered_image.images.image_layers import ImageLayersRequest, build_image_layers
from layered_image.images.layers import BuiltLayer
from layered_image.images.metadata import ImageMetadata, ImageMetadataRequest, fill_metadata
from layered_image.supply_chain.facts import image_metadata, image_name
from layered_image.target_types import (
    ImageNameField,
    LayeredImageBaseField,
    LayeredImageCompressionField,
    LayeredImageCreatedField,
    LayeredImageTagsField,
)
from strata.errors import StrataError
from strata.oci.base import BaseImage, merged_config
from strata.oci.content import blob_path
from strata.oci.image import Image, ImageLayer, ImageSettings, build_image, parse_timestamp
from strata.platforms import Platform
from strata.report.closure import describe_closure


@dataclass(frozen=True)
class PlatformImageRequest:
    target: Target
    platform: Platform


@dataclass(frozen=True)
class ImageOnBaseRequest:
    target: Target
    platform: Platform
    base: Optional[LoadedBase]


@dataclass(frozen=True)
class PlatformImage:
    """``layout`` holds the files of an OCI image layout with a docker ``manifest.json``;
    ``report`` is the JSON text of the image's report, ``as_base`` what an image on top of this one
    needs to know. Its metadata has what an index of the image needs too: its ``descriptor`` and its
    entry of ``manifest.json`` (``docker``)."""

    address: Address
    platform: Platform
    layout: Digest
    report: str
    as_base: LoadedBase
    digest: str
    references: Tuple[str, ...]
    layers: int
    size: int


@rule(desc="Put an image together", level=LogLevel.DEBUG)
async def build_image_on_base(request: ImageOnBaseRequest) -> PlatformImage:
    target, platform = request.target, request.platform
    # Whatever is wrong there is said before layers are built.
    said = await fill_metadata(ImageMetadataRequest(target), **implicitly())
    closure = await find_image_closure(ImageClosureRequest(target, platform), **implicitly())
    base = checked_base(target, request.base)
    built = await build_image_layers(
        ImageLayersRequest(target, platform, closure, request.base), **implicitly()
    )
    created = target[LayeredImageCreatedField].value or ""
    now = 0
    if created == "now":
        clock = await read_clock(ClockRequest(), **implicitly())
        now = clock.seconds
    image = _image(
        target,
        platform,
        closure.config,
        said,
        parse_timestamp(created, now),
        base,
        built.layers,
    )
    metadata = await create_digest(
        CreateDigest(FileContent(path, content) for path, content in image.files.items())
    )
    digests = [layer.blobs for layer, _ in built.layers]
    if request.base is not None:
        digests.append(
            await digest_subset_to_digest(
                DigestSubset(
                    request.base.blobs,
                    PathGlobs([blob_path(layer.digest) for layer in base.layers]),
                )
            )
        )
    # What runs over this image as a base gets its layers, and nothing of what it says of itself.
    blobs = await merge_digests(MergeDigests(digests))
    layout = await merge_digests(MergeDigests([metadata, blobs]))
    described = _described_closure(closure, request.base)
    metadata_text = json.dumps(
        {
            "config": image.config,
            "layers": [vars(layer) for layer in image.layers],
            "closure": described,
            "descriptor": image.descriptor,
            "docker": image.docker,
            **image_metadata(target, said, closure, image, request.base),
        }
    )
    report = {**image.report(), "closure": described}
    return PlatformImage(
        target.address,
        platform,
        layout,
        json.dumps(report, indent=2, ensure_ascii=False) + "\n",
        LoadedBase(blobs, metadata_text, built.held, built.listings),
        image.digest,
        image.references,
        len(image.layers),
        image.size,
    )


@rule(desc="Build a layered image for one platform", level=LogLevel.DEBUG)
async def build_platform_image(request: PlatformImageRequest) -> PlatformImage:
    platform = request.platform
    # The image itself, what it is based on, and so on.
    stack = [request.target]
    base = None
    while stack[-1][LayeredImageBaseField].value is not None:
        found = await find_base_target(BaseTargetRequest(stack[-1], platform), **implicitly())
        if found.target.has_field(LayeredImageBaseField):
            if any(found.target.address == image.address for image in stack):
                raise LayeredImageError(
                    stack[-1].address,
                    f"{found.target.address} is based on this image; break the circle",
                    LayeredImageBaseField.alias,
                )
            stack.append(found.target)
            continue
        if found.target.has_field(ImageBaseRepositoryField):
            base = await load_registry_base(
                RegistryBaseRequest(stack[-1].address, found.target, platform), **implicitly()
            )
            break
        base = await load_base_archive(
            BaseArchiveRequest(
                stack[-1].address,
                found.target,
                platform,
                request.target[LayeredImageCompressionField].value or "",
            ),
            **implicitly(),
        )
        break
    image = await build_image_on_base(
        ImageOnBaseRequest(stack.pop(), platform, base), **implicitly()
    )
    while stack:
        image = await build_image_on_base(
            ImageOnBaseRequest(stack.pop(), platform, image.as_base), **implicitly()
        )
    return image


def _described_closure(closure: ImageClosure, base: Optional[LoadedBase]) -> Dict[str, Any]:
    # A base from an archive says nothing of what its layers were made from.
    below = json.loads(base.metadata).get("closure") if base is not None else None
    return describe_closure(
        {address.spec: names for address, names in closure.requested.items()},
        closure.references,
        {item.item.name: item.digest.fingerprint for item in closure.objects},
        below,
    )


def _image(
    target: Target,
    platform: Platform,
    config: FrozenDict,
    said: ImageMetadata,
    created: int,
    base: BaseImage,
    layers: Sequence[Tuple[BuiltLayer, str]],
) -> Image:
    settings = ImageSettings(
        name=image_name(target),
        tags=tuple(target[LayeredImageTagsField].value or ()),
        architecture=platform.architecture,
        variant=platform.variant or base.config.get("variant", ""),
        created=created,
        config=merged_config(
            merged_config(base.config.get("config") or {}, thawed(config)),
            {"Labels": said.labels} if said.labels else {},
        ),
        annotations=said.annotations,
        base_layers=base.layers,
        base_history=tuple(base.config.get("history") or ()),
    )
    try:
        return build_image(
            settings,
            [ImageLayer.from_json(json.loads(layer.metadata), reason) for layer, reason in layers],
        )
    except StrataError as error:
        raise LayeredImageError(target.address, error, ImageNameField.alias)


def rules():
    return collect_rules()
