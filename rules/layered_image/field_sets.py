"""The field set of images, for all goals that take one."""

from __future__ import annotations

from dataclasses import dataclass

from pants.core.goals.package import OutputPathField, PackageFieldSet
from pants.core.goals.run import RunFieldSet, RunInSandboxBehavior
from pants.engine.target import Target

from layered_image.engine import EnvironmentField
from layered_image.target_types import (
    LayeredImageArchiveCompressionField,
    LayeredImageFormatsField,
)


@dataclass(frozen=True)
class ImageFieldSet(PackageFieldSet, RunFieldSet):
    """Of a ``layered_image`` or an ``image_index``."""

    run_in_sandbox_behavior = RunInSandboxBehavior.NOT_SUPPORTED
    required_fields = (LayeredImageFormatsField,)

    formats: LayeredImageFormatsField
    archive_compression: LayeredImageArchiveCompressionField
    output_path: OutputPathField
    environment: EnvironmentField


def is_image(target: Target) -> bool:
    """Whether ``BuildImageRequest`` can have the target."""
    return ImageFieldSet.is_applicable(target)
