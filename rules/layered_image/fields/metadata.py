"""Fields for what an image says about itself: labels and annotations."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from pants.engine.addresses import Address
from pants.engine.target import DictStringToStringField, StringSequenceField
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field
from layered_image.images.build_args import parse_build_args
from layered_image.templates import placeholders_in
from strata.errors import StrataError

#: Placeholders with what is known of every target.
TARGET_PLACEHOLDERS = ("name", "image_name", "directory", "parent_directory", "full_directory")
BUILD_ARGS = "build_args."
COMMIT = "git.commit"
BRANCH = "git.branch"


class _MetadataField(DictStringToStringField):
    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[FrozenDict]:
        value: Optional[FrozenDict] = super().compute_value(raw_value, address)
        for key, template in (value or {}).items():
            if not key:
                raise invalid_field(address, cls.alias, "a key is empty; name what its value says")
            try:
                _check(placeholders_in(template))
            except StrataError as error:
                raise invalid_field(address, cls.alias, f"{key!r}: {error}")
        return value


def _check(names: Tuple[str, ...]) -> None:
    for name in names:
        if name == "pants.hash":
            raise StrataError(
                "{pants.hash} is made of the image's digest, and so cannot be in the image; "
                "`repositories` and `extra_image_tags` may have it"
            )
        is_build_arg = name.startswith(BUILD_ARGS) and name != BUILD_ARGS
        if not is_build_arg and name not in (*TARGET_PLACEHOLDERS, COMMIT, BRANCH):
            known = (*TARGET_PLACEHOLDERS, f"{BUILD_ARGS}NAME", COMMIT, BRANCH)
            raise StrataError(
                f"there is no placeholder {{{name}}}; there are "
                + ", ".join(f"{{{item}}}" for item in known)
            )


class ImageLabelsField(_MetadataField):
    alias = "labels"
    help = softwrap(
        """
        Labels of the container configuration, in addition to `Labels` of `config`, which they
        override, and to those of the base.

        Values may have placeholders: `{name}` (of the target), `{image_name}`, `{directory}`,
        `{parent_directory}`, `{full_directory}`, `{build_args.NAME}` (from
        `[layered-images].build_args` and `extra_build_args`), `{git.commit}` and `{git.branch}`.
        Write `{{` and `}}` for braces that are meant. None of it is in any layer: other values make
        another image of the same layers.

        Example: `labels={"org.opencontainers.image.revision": "{git.commit}"}`
        """
    )


class ImageAnnotationsField(_MetadataField):
    alias = "annotations"
    help = softwrap(
        """
        Annotations of the image's manifest, and of the image index if there is one. An image has
        none of its base's. Values may have the placeholders that those of `labels` have.

        Example: `annotations={"org.opencontainers.image.title": "{image_name}"}`
        """
    )


class ImageIndexAnnotationsField(ImageAnnotationsField):
    help = softwrap(
        """
        Annotations of the index; its images have their own. Values may have placeholders: `{name}`
        (of the target), `{image_name}`, `{directory}`, `{parent_directory}`, `{full_directory}`,
        `{build_args.NAME}`, `{git.commit}` and `{git.branch}`.

        Example: `annotations={"org.opencontainers.image.title": "{image_name}"}`
        """
    )


class ImageExtraBuildArgsField(StringSequenceField):
    alias = "extra_build_args"
    default = ()
    help = softwrap(
        """
        Build arguments for `{build_args.NAME}` in `labels` and `annotations`, in addition to
        `[layered-images].build_args`, which they override: `NAME=value`, or `NAME` for the value of
        that environment variable.

        Example: `extra_build_args=["TEAM=web", "CI_JOB"]`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        try:
            parse_build_args(value or ())
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)
        return value
