"""The platforms that an image is built for."""

from __future__ import annotations

from typing import Any, Iterable, Optional, Tuple

from pants.engine.addresses import Address
from pants.engine.target import StringField, StringSequenceField, Target
from pants.util.strutil import softwrap

from layered_image.errors import LayeredImageError, invalid_field
from strata.errors import StrataError
from strata.platforms import MACHINES, Platform, parse_platform


class LayeredImageArchitectureField(StringField):
    alias = "architecture"
    default = "amd64"
    valid_choices = tuple(sorted(MACHINES))
    help = softwrap(
        """
        The image's CPU architecture, as Go's GOARCH names it: `architecture="arm64"`. With
        `architectures` it has no meaning.
        """
    )


class LayeredImageVariantField(StringField):
    alias = "variant"
    help = softwrap(
        """
        The variant of the architecture, as in `linux/arm/v7`: `architecture="arm", variant="v7"`.
        Defaults to the base image's. With `architectures` it has no meaning.
        """
    )


class LayeredImageArchitecturesField(StringSequenceField):
    alias = "architectures"
    help = softwrap(
        """
        All CPU architectures that the image is built for, instead of the one of `architecture`: as
        Go names them, with a variant where one matters (`arm/v7`). The result is one image index
        with an image for each, and who pulls or loads it gets the one of their machine. The first
        is the one that a Docker engine without containerd's image store gets from the archive.

        Debian packages need a lock for each (`architectures` of `debian_packages`), a `pex_binary`
        one of its `complete_platforms` for each, and a `base` an image for each.

        Example: `architectures=["amd64", "arm64"]`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        if value is None:
            return None
        try:
            settled = [parse_platform(text).settled for text in value]
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)
        if not settled or len(set(settled)) < len(settled):
            raise invalid_field(address, cls.alias, "name at least one architecture, each once")
        return value


def image_platforms(image: Target) -> Tuple[Platform, ...]:
    """The platforms of a ``layered_image``, the first of ``architectures`` first."""
    several = image[LayeredImageArchitecturesField].value
    if several is not None:
        return tuple(parse_platform(text) for text in several)
    architecture = image[LayeredImageArchitectureField].value or ""
    variant = image[LayeredImageVariantField]
    try:
        return (
            parse_platform(f"{architecture}/{variant.value}" if variant.value else architecture),
        )
    except StrataError as error:
        raise LayeredImageError(image.address, error, variant.alias)


def checked_platform(
    images: Iterable[Target], wanted: Platform, asking: Address, field: str
) -> Target:
    """The one of ``images`` that is (also) for the ``wanted`` platform.

    Raises LayeredImageError, about ``field`` of ``asking``, if none is.
    """
    known = []
    for image in images:
        if wanted.settled in [platform.settled for platform in image_platforms(image)]:
            return image
        known += [f"{image.address} is for {platform}" for platform in image_platforms(image)]
    raise LayeredImageError(
        asking,
        f"it has no image for {wanted} ({', '.join(known)}): add that to its `architectures`, or "
        f"take it out of those of {asking}",
        field,
    )
