"""``package`` for images and indexes: the archive, the layout folder and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

from pants.core.goals.package import (
    BuiltPackage,
    BuiltPackageArtifact,
    PackageFieldSet,
)
from pants.engine.addresses import Address
from pants.engine.fs import AddPrefix, CreateDigest, FileContent, FileEntry, MergeDigests
from pants.engine.target import WrappedTargetRequest
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from layered_image.archive import ArchiveRequest, write_archive
from layered_image.attestations import AttestationsRequest, write_attestations
from layered_image.commands import network_notice
from layered_image.engine import (
    add_prefix,
    collect_rules,
    create_digest,
    implicitly,
    merge_digests,
    resolve_target,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.field_sets import ImageIndexFieldSet, LayeredImageFieldSet
from layered_image.image_index import BuildImageRequest, build_layered_image

ARCHIVE_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


@dataclass(frozen=True)
class PackageImageRequest:
    """``path`` is the report's; the others lie beside it."""

    address: Address
    formats: Tuple[str, ...]
    archive_compression: str
    path: str


@rule(desc="Package an image", level=LogLevel.DEBUG)
async def package_image(request: PackageImageRequest) -> BuiltPackage:
    wrapped = await resolve_target(
        WrappedTargetRequest(request.address, description_of_origin="the `package` goal"),
        **implicitly(),
    )
    image = await build_layered_image(BuildImageRequest(wrapped.target), **implicitly())
    # Said each time, also when all else is as the last time.
    notice = network_notice(wrapped.target)
    summary = (*image.summary, notice) if notice else image.summary
    stem = request.path[: -len(".json")]
    report = await create_digest(CreateDigest([FileContent(request.path, image.report.encode())]))
    digests = [report]
    artifacts: List[BuiltPackageArtifact] = []
    if "tar" in request.formats:
        path = f"{stem}.tar{ARCHIVE_SUFFIXES[request.archive_compression]}"
        archive = await write_archive(
            ArchiveRequest(image.layout, path, compression=request.archive_compression),
            **implicitly(),
        )
        if archive.error:
            raise LayeredImageError(request.address, archive.error)
        digests.append(archive.digest)
        artifacts.append(BuiltPackageArtifact(path, summary))
    if "oci" in request.formats:
        digests.append(await add_prefix(AddPrefix(image.layout, f"{stem}.oci")))
        artifacts.append(BuiltPackageArtifact(f"{stem}.oci", () if artifacts else summary))
    artifacts.append(BuiltPackageArtifact(request.path))
    told = await write_attestations(AttestationsRequest(wrapped.target), **implicitly())
    for document in told.documents:
        path = f"{stem}.{document.suffix}"
        digests.append(await create_digest(CreateDigest([FileEntry(path, document.file)])))
        lines = tuple(f"{document.kind} of {subject}" for subject in document.subjects)
        artifacts.append(BuiltPackageArtifact(path, lines))
    merged = await merge_digests(MergeDigests(digests))
    return BuiltPackage(merged, tuple(artifacts))


@rule(desc="Package a layered image", level=LogLevel.DEBUG)
async def package_layered_image(field_set: LayeredImageFieldSet) -> BuiltPackage:
    return await package_image(
        PackageImageRequest(
            field_set.address,
            field_set.formats.value or (),
            field_set.archive_compression.value or "",
            field_set.output_path.value_or_default(file_ending="json"),
        ),
        **implicitly(),
    )


@rule(desc="Package an image index", level=LogLevel.DEBUG)
async def package_image_index(field_set: ImageIndexFieldSet) -> BuiltPackage:
    return await package_image(
        PackageImageRequest(
            field_set.address,
            field_set.formats.value or (),
            field_set.archive_compression.value or "",
            field_set.output_path.value_or_default(file_ending="json"),
        ),
        **implicitly(),
    )


def rules():
    return [
        *collect_rules(),
        UnionRule(PackageFieldSet, LayeredImageFieldSet),
        UnionRule(PackageFieldSet, ImageIndexFieldSet),
    ]
