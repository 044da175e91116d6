"""The backend's entry point for Pants."""

from __future__ import annotations

from layered_image import program, strata_process
from layered_image.bases import base, registry_base
from layered_image.bases.target_types import ImageBaseTarget
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
from layered_image.commands import configuration, process, tools
from layered_image.commands import run as run_commands
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
from layered_image.images import (
    archive,
    clock,
    compiler,
    image,
    image_index,
    image_layers,
    layers,
    metadata,
    popularity,
)
from layered_image.libraries import resolve
from layered_image.registries import settings as registry_settings
from layered_image.supply_chain import attestations
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


_MODULES = (
    archive,
    attestations,
    base,
    check_namespaces,
    clock,
    collect,
    compiler,
    configuration,
    contents,
    debian,
    debian_helpers,
    debian_lock,
    image,
    image_index,
    image_layers,
    layers,
    layers_goal,
    load_image,
    lockfiles,
    metadata,
    package,
    package_derived,
    packages,
    popularity,
    process,
    program,
    publish,
    python,
    registry_base,
    registry_settings,
    resolve,
    root,
    run,
    run_commands,
    run_image,
    strata_process,
    tools,
)


def rules():
    return [
        *collect_rules(vars(provider)),
        *(item for module in _MODULES for item in module.rules()),
    ]
