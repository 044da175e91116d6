"""Labels and annotations of a target, with their placeholders filled.

What they are filled with is read only if a placeholder asks for it, and goes into an image's JSON
alone: no process gets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Mapping, Sequence

from pants.engine.env_vars import CompleteEnvironmentVars
from pants.engine.target import Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel
from pants.vcs.git import GitWorktreeRequest

from layered_image.engine import collect_rules, get_git_worktree, implicitly, rule
from layered_image.errors import LayeredImageError
from layered_image.fields.metadata import (
    BRANCH,
    BUILD_ARGS,
    COMMIT,
    ImageAnnotationsField,
    ImageExtraBuildArgsField,
    ImageLabelsField,
)
from layered_image.images.build_args import build_arg, parse_build_args
from layered_image.registries.destinations import target_placeholders
from layered_image.subsystem import LayeredImageSubsystem
from layered_image.target_types import ImageNameField
from layered_image.templates import filled, placeholders_in
from strata.errors import StrataError


@dataclass(frozen=True)
class RevisionRequest:
    """Asked only for placeholders of git."""


@dataclass(frozen=True)
class Revision:
    """What the work tree that Pants runs in is at: ``commit`` is a full object name, ``branch``
    is empty for a detached HEAD, and both are outside of a repository."""

    commit: str = ""
    branch: str = ""


@dataclass(frozen=True)
class BuildArgsRequest:
    target: Target


@dataclass(frozen=True)
class BuildArgs:
    """Those that the target's placeholders name. ``error`` is about the first that is missing."""

    values: FrozenDict
    error: str = ""


@dataclass(frozen=True)
class ImageMetadataRequest:
    """``target`` is a ``layered_image`` or an ``image_index``."""

    target: Target


@dataclass(frozen=True)
class ImageMetadata:
    labels: FrozenDict
    annotations: FrozenDict


@rule(desc="Read the commit of the work tree", level=LogLevel.DEBUG)
async def read_revision(request: RevisionRequest) -> Revision:
    # Never the same object twice, so that Pants' daemon asks again in every run.
    found = await get_git_worktree(GitWorktreeRequest(), **implicitly())
    if found.git_worktree is None:
        return Revision()
    return Revision(
        found.git_worktree.commit_id.strip(), (found.git_worktree.branch_name or "").strip()
    )


@rule(desc="Find build arguments", level=LogLevel.DEBUG)
async def find_build_args(
    request: BuildArgsRequest, options: LayeredImageSubsystem, environment: CompleteEnvironmentVars
) -> BuildArgs:
    target = request.target
    extra = target[ImageExtraBuildArgsField].value or ()
    values: Dict[str, str] = {}
    try:
        arguments = parse_build_args((*options.build_args, *extra))
        for name in _asked(target):
            if name.startswith(BUILD_ARGS):
                argument = name[len(BUILD_ARGS) :]
                values[name] = build_arg(argument, arguments, environment)
    except StrataError as error:
        return BuildArgs(FrozenDict(), str(error))
    return BuildArgs(FrozenDict(values))


@rule(desc="Fill labels and annotations", level=LogLevel.DEBUG)
async def fill_metadata(request: ImageMetadataRequest) -> ImageMetadata:
    target = request.target
    asked = _asked(target)
    values = target_placeholders(
        target.address, target[ImageNameField].value or target.address.target_name
    )
    build_args = [name for name in asked if name.startswith(BUILD_ARGS)]
    if build_args:
        found = await find_build_args(BuildArgsRequest(target), **implicitly())
        if found.error:
            raise LayeredImageError(target.address, found.error, _asking(target, build_args))
        values = {**values, **found.values}
    of_git = [name for name in asked if name in (COMMIT, BRANCH)]
    if of_git:
        revision = await read_revision(RevisionRequest(), **implicitly())
        values = {**values, **_revision_values(target, of_git, revision)}
    return ImageMetadata(
        *(
            FrozenDict({key: filled(text, values) for key, text in sorted(templates.items())})
            for templates in _templates(target).values()
        )
    )


def _revision_values(target: Target, asked: Sequence[str], revision: Revision) -> Mapping[str, str]:
    field = _asking(target, asked)
    names = " and ".join(f"{{{name}}}" for name in asked)
    if not revision.commit:
        raise LayeredImageError(
            target.address,
            f"{names} cannot be filled: Pants does not run in a git repository, or finds no git",
            field,
        )
    if BRANCH in asked and not revision.branch:
        raise LayeredImageError(
            target.address,
            f"{{{BRANCH}}} cannot be filled: HEAD is at {revision.commit[:12]} and on no branch, "
            "as in most CI jobs; use {git.commit}, or a build argument with the branch's name",
            _asking(target, [BRANCH]),
        )
    return {COMMIT: revision.commit, BRANCH: revision.branch}


def _templates(target: Target) -> Dict[str, Mapping[str, str]]:
    """By field; an index has no labels."""
    labels = target[ImageLabelsField].value if target.has_field(ImageLabelsField) else None
    return {
        ImageLabelsField.alias: labels or {},
        ImageAnnotationsField.alias: target[ImageAnnotationsField].value or {},
    }


def _asked(target: Target) -> Dict[str, str]:
    """The placeholders in a target's fields, with the first field that has them."""
    found: Dict[str, str] = {}
    for field, templates in _templates(target).items():
        for template in templates.values():
            for name in placeholders_in(template):
                found.setdefault(name, field)
    return found


def _asking(target: Target, names: Sequence[str]) -> str:
    """The first field that has one of the placeholders ``names``."""
    asked = _asked(target)
    return next(asked[name] for name in names)


def rules():
    return collect_rules()
