"""Images as goals take them: for one platform, or an index of those for several."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import List, Tuple

from pants.engine.addresses import Address, Addresses
from pants.engine.fs import (
    CreateDigest,
    Digest,
    DigestSubset,
    FileContent,
    MergeDigests,
    PathGlobs,
)
from pants.engine.target import Target
from pants.util.logging import LogLevel

from layered_image.derived_target_types import ImageIndexImagesField
from layered_image.engine import (
    collect_rules,
    concurrently,
    create_digest,
    digest_subset_to_digest,
    implicitly,
    merge_digests,
    resolve_targets,
    resolve_unparsed_address_inputs,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.fields.platforms import (
    LayeredImageArchitecturesField,
    image_platforms,
)
from layered_image.images.image import PlatformImage, PlatformImageRequest, build_platform_image
from layered_image.images.metadata import ImageMetadataRequest, fill_metadata
from layered_image.target_types import (
    ImageNameField,
    LayeredImageContentsField,
    LayeredImageTagsField,
)
from strata.errors import StrataError
from strata.oci.index import IndexedImage, build_index, index_report


@dataclass(frozen=True)
class BuildImageRequest:
    """``target`` is a ``layered_image`` or an ``image_index``."""

    target: Target


@dataclass(frozen=True)
class IndexRequest:
    target: Target
    field: str
    images: Tuple[PlatformImage, ...]


@dataclass(frozen=True)
class BuiltImage:
    """``layout`` holds the files of an OCI image layout with a docker ``manifest.json``;
    ``report`` is the JSON text of its report; ``digest`` is the manifest's, or the index' if
    ``images``, which has one for each platform, has several. ``size`` is in bytes."""

    address: Address
    layout: Digest
    report: str
    digest: str
    references: Tuple[str, ...]
    images: Tuple[PlatformImage, ...]
    size: int

    @property
    def summary(self) -> Tuple[str, ...]:
        """Lines for people."""
        layers = [str(image.layers) for image in self.images]
        lines = [
            f"image: {', '.join(self.references)}",
            f"digest: {self.digest}",
            f"layers: {' and '.join(layers)}, {self.size / 1e6:.1f} MB",
        ]
        if len(self.images) > 1:
            lines.append(f"platforms: {', '.join(str(image.platform) for image in self.images)}")
        return tuple(lines)


@rule(desc="Put the images of several platforms together", level=LogLevel.DEBUG)
async def build_image_index(request: IndexRequest) -> BuiltImage:
    target, images = request.target, request.images
    said = await fill_metadata(ImageMetadataRequest(target), **implicitly())
    described = [json.loads(image.as_base.metadata) for image in images]
    try:
        index = build_index(
            target[ImageNameField].value or target.address.target_name,
            target[LayeredImageTagsField].value or (),
            [
                IndexedImage(image.platform, item["descriptor"], item["docker"])
                for image, item in zip(images, described)
            ],
            said.annotations,
        )
    except StrataError as error:
        raise LayeredImageError(target.address, error, request.field)
    # What the images' own layouts name them is left behind.
    blobs = await concurrently(
        digest_subset_to_digest(DigestSubset(image.layout, PathGlobs(["blobs/**", "oci-layout"])))
        for image in images
    )
    named = await create_digest(
        CreateDigest(FileContent(path, content) for path, content in index.files.items())
    )
    layout = await merge_digests(MergeDigests([named, *blobs]))
    report = index_report(
        index, {str(image.platform): json.loads(image.report) for image in images}
    )
    return BuiltImage(
        target.address,
        layout,
        json.dumps(report, indent=2, ensure_ascii=False) + "\n",
        index.digest,
        index.references,
        images,
        report["size"],
    )


@rule(desc="Build a layered image", level=LogLevel.DEBUG)
async def build_layered_image(request: BuildImageRequest) -> BuiltImage:
    target = request.target
    is_index = target.has_field(ImageIndexImagesField)
    field = ImageIndexImagesField.alias if is_index else LayeredImageArchitecturesField.alias
    targets: List[Target] = [target]
    if is_index:
        addresses = await resolve_unparsed_address_inputs(
            target[ImageIndexImagesField].to_unparsed_address_inputs(), **implicitly()
        )
        found = await resolve_targets(**implicitly({addresses: Addresses}))
        targets = list(found)
        for item in targets:
            if not item.has_field(LayeredImageContentsField):
                raise LayeredImageError(
                    target.address,
                    f"{item.address} (a `{item.alias}`) is no layered_image; name one",
                    field,
                )
    images = await concurrently(
        build_platform_image(PlatformImageRequest(item, platform), **implicitly())
        for item in targets
        for platform in image_platforms(item)
    )
    if is_index or target[LayeredImageArchitecturesField].value is not None:
        return await build_image_index(IndexRequest(target, field, images), **implicitly())
    (image,) = images
    return BuiltImage(
        image.address,
        image.layout,
        image.report,
        image.digest,
        image.references,
        images,
        image.size,
    )


def rules():
    return collect_rules()
