"""The field set of ``layered_image``, for all goals that take one."""

from __future__ import annotations

from dataclasses import dataclass

from pants.core.goals.package import OutputPathField, PackageFieldSet
from pants.core.goals.run import RunFieldSet, RunInSandboxBehavior

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
