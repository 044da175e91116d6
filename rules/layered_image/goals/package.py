"""``package`` for images and indexes: the archive, the layout folder and the report."""

from __future__ import annotations

from typing import List

from pants.core.goals.package import (
    BuiltPackage,
    BuiltPackageArtifact,
    PackageFieldSet,
)
from pants.engine.fs import AddPrefix, CreateDigest, FileContent, FileEntry, MergeDigests
from pants.engine.target import WrappedTargetRequest
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from layered_image.commands.run import network_notice
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
from layered_image.field_sets import ImageFieldSet
from layered_image.images.archive import ArchiveRequest, write_archive
from layered_image.images.image_index import BuildImageRequest, build_layered_image
from layered_image.supply_chain.attestations import AttestationsRequest, write_attestations

ARCHIVE_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


@rule(desc="Package an image", level=LogLevel.DEBUG)
async def package_image(field_set: ImageFieldSet) -> BuiltPackage:
    wrapped = await resolve_target(
        WrappedTargetRequest(field_set.address, description_of_origin="the `package` goal"),
        **implicitly(),
    )
    image = await build_layered_image(BuildImageRequest(wrapped.target), **implicitly())
    # Said each time, also when all else is as the last time.
    notice = network_notice(wrapped.target)
    summary = (*image.summary, notice) if notice else image.summary
    formats = field_set.formats.value or ()
    compression = field_set.archive_compression.value or ""
    # The report's; the others lie beside it.
    report_path = field_set.output_path.value_or_default(file_ending="json")
    stem = report_path[: -len(".json")]
    report = await create_digest(CreateDigest([FileContent(report_path, image.report.encode())]))
    digests = [report]
    artifacts: List[BuiltPackageArtifact] = []
    if "tar" in formats:
        path = f"{stem}.tar{ARCHIVE_SUFFIXES[compression]}"
        archive = await write_archive(
            ArchiveRequest(image.layout, path, compression=compression),
            **implicitly(),
        )
        if archive.error:
            raise LayeredImageError(field_set.address, archive.error)
        digests.append(archive.digest)
        artifacts.append(BuiltPackageArtifact(path, summary))
    if "oci" in formats:
        digests.append(await add_prefix(AddPrefix(image.layout, f"{stem}.oci")))
        artifacts.append(BuiltPackageArtifact(f"{stem}.oci", () if artifacts else summary))
    artifacts.append(BuiltPackageArtifact(report_path))
    told = await write_attestations(AttestationsRequest(wrapped.target), **implicitly())
    for document in told.documents:
        path = f"{stem}.{document.suffix}"
        digests.append(await create_digest(CreateDigest([FileEntry(path, document.file)])))
        lines = tuple(f"{document.kind} of {subject}" for subject in document.subjects)
        artifacts.append(BuiltPackageArtifact(path, lines))
    merged = await merge_digests(MergeDigests(digests))
    return BuiltPackage(merged, tuple(artifacts))


def rules():
    return [
        *collect_rules(),
        UnionRule(PackageFieldSet, ImageFieldSet),
    ]
