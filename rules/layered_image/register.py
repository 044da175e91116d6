"""The backend's entry point for Pants."""

from __future__ import annotations

from layered_image import (
    archive,
    attestations,
    base,
    clock,
    command_process,
    command_tools,
    commands,
    compiler,
    configuration,
    image,
    image_index,
    image_layers,
    layers,
    metadata,
    popularity,
    program,
    registry_base,
    registry_settings,
    strata_process,
)
from layered_image.closure import (
    collect,
    contents,
    debian,
    debian_helpers,
    packages,
    provider,
    python,
    root,
)
from layered_image.closure.debian_helper_target_types import (
    ImageBinShTarget,
    ImageCertificatesTarget,
    ImageUsrBinEnvTarget,
)
from layered_image.closure.debian_target_types import DebianPackagesTarget
from layered_image.closure.root_target_types import (
    ImageDirectoryTarget,
    ImageFilesTarget,
    ImageSymlinkTarget,
)
from layered_image.closure.users_target_types import ImageUsersTarget
from layered_image.derived_target_types import (
    ImageIndexTarget,
    ImageRootTarget,
    MergedImagesTarget,
)
from layered_image.engine import collect_rules
from layered_image.goals import (
    check_namespaces,
    debian_lock,
    load_image,
    lockfiles,
    package,
    package_derived,
    publish,
    run,
    run_image,
)
from layered_image.goals import layers as layers_goal
from layered_image.registry_base_target_types import ImageBaseTarget
from layered_image.target_types import LayeredImageTarget


def target_types():
    return [
        DebianPackagesTarget,
        ImageBaseTarget,
        ImageBinShTarget,
        ImageCertificatesTarget,
        ImageDirectoryTarget,
        ImageFilesTarget,
        ImageIndexTarget,
        ImageRootTarget,
        ImageSymlinkTarget,
        ImageUsersTarget,
        ImageUsrBinEnvTarget,
        LayeredImageTarget,
        MergedImagesTarget,
    ]


def rules():
    return [
        *collect_rules(vars(provider)),
        *archive.rules(),
        *attestations.rules(),
        *base.rules(),
        *check_namespaces.rules(),
        *clock.rules(),
        *collect.rules(),
        *command_process.rules(),
        *command_tools.rules(),
        *commands.rules(),
        *compiler.rules(),
        *configuration.rules(),
        *contents.rules(),
        *debian.rules(),
        *debian_helpers.rules(),
        *debian_lock.rules(),
        *image.rules(),
        *image_index.rules(),
        *image_layers.rules(),
        *layers.rules(),
        *layers_goal.rules(),
        *load_image.rules(),
        *lockfiles.rules(),
        *metadata.rules(),
        *package.rules(),
        *package_derived.rules(),
        *packages.rules(),
        *popularity.rules(),
        *program.rules(),
        *publish.rules(),
        *registry_base.rules(),
        *registry_settings.rules(),
        *python.rules(),
        *root.rules(),
        *run.rules(),
        *run_image.rules(),
        *strata_process.rules(),
    ]
