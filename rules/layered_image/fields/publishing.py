"""Fields that say where an image is published."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from pants.engine.addresses import Address
from pants.engine.target import BoolField, StringSequenceField, TriBoolField
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field
from layered_image.registries.registries import ALL_DEFAULT_REGISTRIES, Registries
from strata.errors import StrataError


class ImageRegistriesField(StringSequenceField):
    alias = "registries"
    default = (ALL_DEFAULT_REGISTRIES,)
    help = softwrap(
        """
        The registries that `publish` pushes to: aliases of `[layered-images].registries` with an
        `@`, or addresses. By default those with `default = true`.

        Example: `registries=["@main", "registry.example:5000"]`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        for name in value or ():
            if name != ALL_DEFAULT_REGISTRIES and not name.startswith("@"):
                try:
                    Registries().find(name)
                except StrataError as error:
                    raise invalid_field(address, cls.alias, error)
        return value


class ImageRepositoriesField(StringSequenceField):
    alias = "repositories"
    help = softwrap(
        """
        The repositories that `publish` pushes to, each in every one of the `registries`; one that
        begins with an alias (`@main/team/app`) or a host (`registry.example/team/app`) is in that
        registry alone. Defaults to `[layered-images].default_repository`, or to `image_name` where
        that has a host.

        Placeholders are `{name}` (of the target), `{image_name}`, `{directory}`,
        `{parent_directory}`, `{full_directory}`, `{default_repository}` and `{pants.hash}`, which
        is the image's digest without `sha256:`.

        Example: `repositories=["team/{name}"]`
        """
    )


class ImageSkipPushField(BoolField):
    alias = "skip_push"
    default = False
    help = softwrap(
        """
        Whether `publish` leaves this image out, for example because only others are based on it:
        `skip_push=True`.
        """
    )


class ImageSignField(TriBoolField):
    alias = "sign"
    help = softwrap(
        """
        Whether `publish` has the image signed by `[layered-images].signing_command` before its tags
        are set: `sign=True`. By default the registries with `sign = true` get signed images.
        """
    )


PUBLISH_FIELDS = (
    ImageRegistriesField,
    ImageRepositoriesField,
    ImageSkipPushField,
    ImageSignField,
)
