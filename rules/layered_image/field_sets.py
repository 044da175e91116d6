"""The field sets of images, for all goals that take one."""

from __future__ import annotations

from dataclasses import dataclass

from pants.core.goals.package import OutputPathField, PackageFieldSet
from pants.core.goals.run import RunFieldSet, RunInSandboxBehavior
from pants.engine.target import Target

from layered_image.derived_target_types import ImageIndexImagesField
from layered_image.engine import EnvironmentField
from layered_image.target_types import (
    LayeredImageArchiveCompressionField,
    LayeredImageContentsField,
    LayeredImageFormatsField,
)


@dataclass(frozen=True)
class LayeredImageFieldSet(PackageFieldSet, RunFieldSet):
    run_in_sandbox_behavior = RunInSandboxBehavior.NOT_SUPPORTED
    required_fields = (LayeredImageContentsField, LayeredImageFormatsField)

    contents: LayeredImageContentsField
    formats: LayeredImageFormatsField
    archive_compression: LayeredImageArchiveCompressionField
    output_path: OutputPathField
    environment: EnvironmentField


@dataclass(frozen=True)
class ImageIndexFieldSet(PackageFieldSet, RunFieldSet):
    run_in_sandbox_behavior = RunInSandboxBehavior.NOT_SUPPORTED
    required_fields = (ImageIndexImagesField, LayeredImageFormatsField)

    images: ImageIndexImagesField
    formats: LayeredImageFormatsField
    archive_compression: LayeredImageArchiveCompressionField
    output_path: OutputPathField
    environment: EnvironmentField


def is_image(target: Target) -> bool:
    """Whether ``BuildImageRequest`` can have the target."""
    return LayeredImageFieldSet.is_applicable(target) or ImageIndexFieldSet.is_applicable(target)
