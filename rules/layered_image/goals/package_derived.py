"""``package`` for ``merged_images`` and ``image_root``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List

from pants.core.goals.package import (
    BuiltPackage,
    BuiltPackageArtifact,
    OutputPathField,
    PackageFieldSet,
)
from pants.engine.addresses import Addresses, UnparsedAddressInputs
from pants.engine.fs import (
    CreateDigest,
    DigestSubset,
    FileContent,
    MergeDigests,
    PathGlobs,
)
from pants.engine.target import Target
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from layered_image.derived_target_types import (
    ImageRootArchitectureField,
    ImageRootImageField,
    MergedImagesField,
)
from layered_image.engine import (
    EnvironmentField,
    collect_rules,
    concurrently,
    create_digest,
    digest_subset_to_digest,
    get_digest_contents,
    implicitly,
    merge_digests,
    resolve_targets,
    resolve_unparsed_address_inputs,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.field_sets import is_image
from layered_image.images.archive import ArchiveRequest, write_archive
from layered_image.images.image import PlatformImage
from layered_image.images.image_index import BuildImageRequest, BuiltImage, build_layered_image
from layered_image.target_types import LayeredImageCompressionField

_METADATA = ("index.json", "manifest.json")


@dataclass(frozen=True)
class MergedImagesFieldSet(PackageFieldSet):
    required_fields = (MergedImagesField,)

    images: MergedImagesField
    output_path: OutputPathField
    environment: EnvironmentField


@dataclass(frozen=True)
class ImageRootFieldSet(PackageFieldSet):
    required_fields = (ImageRootImageField,)

    image: ImageRootImageField
    architecture: ImageRootArchitectureField
    output_path: OutputPathField
    environment: EnvironmentField


@rule(desc="Package merged images", level=LogLevel.DEBUG)
async def package_merged_images(field_set: MergedImagesFieldSet) -> BuiltPackage:
    addresses = await resolve_unparsed_address_inputs(
        field_set.images.to_unparsed_address_inputs(), **implicitly()
    )
    targets = await resolve_targets(**implicitly({addresses: Addresses}))
    for target in targets:
        _check_image(field_set, field_set.images.alias, target)
    images = await concurrently(
        build_layered_image(BuildImageRequest(target), **implicitly()) for target in targets
    )
    owners: Dict[str, str] = {}
    for image in images:
        for reference in image.references:
            other = owners.setdefault(reference, image.address.spec)
            if other != image.address.spec:
                raise LayeredImageError(
                    field_set.address,
                    f"{other} and {image.address} are both named {reference}; change `image_name` "
                    "or `tags` of one",
                    field_set.images.alias,
                )
    subsets = await concurrently(
        digest_subset_to_digest(DigestSubset(image.layout, PathGlobs(_METADATA)))
        for image in images
    )
    contents = await concurrently(get_digest_contents(subset) for subset in subsets)
    blobs = await concurrently(
        digest_subset_to_digest(DigestSubset(image.layout, PathGlobs(["blobs/**", "oci-layout"])))
        for image in images
    )
    named = await create_digest(
        CreateDigest(
            [
                FileContent("index.json", _index([_file(item, "index.json") for item in contents])),
                FileContent(
                    "manifest.json",
                    _text([row for item in contents for row in _file(item, "manifest.json")]),
                ),
            ]
        )
    )
    layout = await merge_digests(MergeDigests([named, *blobs]))
    path = field_set.output_path.value_or_default(file_ending="tar")
    archive = await write_archive(ArchiveRequest(layout, path), **implicitly())
    if archive.error:
        raise LayeredImageError(field_set.address, archive.error)
    lines = tuple(
        f"image: {', '.join(image.references)}, digest: {image.digest}" for image in images
    )
    return BuiltPackage(archive.digest, (BuiltPackageArtifact(path, lines),))


@rule(desc="Package an image's root", level=LogLevel.DEBUG)
async def package_image_root(field_set: ImageRootFieldSet) -> BuiltPackage:
    addresses = await resolve_unparsed_address_inputs(
        UnparsedAddressInputs(
            [field_set.image.value or ""],
            owning_address=field_set.address,
            description_of_origin=f"the `{field_set.image.alias}` field of {field_set.address}",
        ),
        **implicitly(),
    )
    targets = await resolve_targets(**implicitly({addresses: Addresses}))
    if len(targets) != 1:
        raise LayeredImageError(field_set.address, "name one image", field_set.image.alias)
    target = targets[0]
    _check_image(field_set, field_set.image.alias, target)
    built = await build_layered_image(BuildImageRequest(target), **implicitly())
    image = _chosen(field_set, built)
    path = field_set.output_path.value_or_default(file_ending="tar")
    # An index says nothing of its images' layers, which may be compressed with anything.
    compression = target.get(LayeredImageCompressionField, default_raw_value="zstd").value or ""
    root = await write_archive(
        ArchiveRequest(image.layout, path, "flatten", compression), **implicitly()
    )
    if root.error:
        raise LayeredImageError(field_set.address, root.error)
    line = f"root of: {', '.join(built.references)}, digest: {image.digest}"
    return BuiltPackage(root.digest, (BuiltPackageArtifact(path, (line,)),))


def _chosen(field_set: ImageRootFieldSet, built: BuiltImage) -> PlatformImage:
    wanted = field_set.architecture.value
    if wanted is None and len(built.images) == 1:
        return built.images[0]
    known = [str(image.platform) for image in built.images]
    if wanted not in known:
        raise LayeredImageError(
            field_set.address,
            f"{built.address} has images for {', '.join(known)}; name one of them",
            field_set.architecture.alias,
        )
    return built.images[known.index(wanted)]


def _check_image(field_set: PackageFieldSet, alias: str, target: Target) -> None:
    if not is_image(target):
        raise LayeredImageError(
            field_set.address,
            f"{target.address} (a `{target.alias}`) is no layered_image and no image_index; name "
            "one",
            alias,
        )


def _file(contents: Any, path: str) -> Any:
    return json.loads(next(item.content for item in contents if item.path == path))


def _index(indexes: List[Dict[str, Any]]) -> bytes:
    manifests = [manifest for index in indexes for manifest in index["manifests"]]
    return _text({**indexes[0], "manifests": manifests})


def _text(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def rules():
    return [
        *collect_rules(),
        UnionRule(PackageFieldSet, MergedImagesFieldSet),
        UnionRule(PackageFieldSet, ImageRootFieldSet),
    ]
