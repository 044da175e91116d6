"""The ``image_base`` target and its fields."""

from __future__ import annotations

from typing import Optional

from pants.engine.addresses import Address
from pants.engine.target import COMMON_TARGET_FIELDS, StringField, Target
from pants.util.strutil import softwrap

from layered_image.errors import LayeredImageError, invalid_field
from strata.errors import StrataError
from strata.oci.image import checked_tag
from strata.registry.reference import is_digest, parse_reference


class ImageBaseRepositoryField(StringField):
    alias = "repository"
    required = True
    help = softwrap(
        """
        The repository in its registry, as container engines name it: `registry.example/team/base`,
        or `debian` for Docker Hub's. An alias of `[layered-images].registries` may stand for the
        registry: `@team/base`.

        Example: `repository="registry.example/team/base"`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        try:
            reference = parse_reference((value or "").lstrip("@"))
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)
        if reference.tag or reference.digest:
            raise invalid_field(
                address, cls.alias, "write the tag or the digest into the field of that name"
            )
        return value


class ImageBaseTagField(StringField):
    alias = "tag"
    help = softwrap(
        """
        The image's tag in its repository. What it stands for is pinned by the `lock`, and changes
        when `generate-lockfiles` is run again: `tag="bookworm-slim"`.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        try:
            return None if value is None else checked_tag(value)
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)


class ImageBaseDigestField(StringField):
    alias = "digest"
    help = softwrap(
        """
        The digest of the image, or of an index of images for several platforms:
        `digest="sha256:…"`. It needs no lock.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        if value is not None and not is_digest(value):
            raise invalid_field(
                address, cls.alias, f"write 'sha256:' and 64 hexadecimal digits, not {value!r}"
            )
        return value


class ImageBaseLockField(StringField):
    alias = "lock"
    help = softwrap(
        """
        The lock file, relative to the BUILD file's folder. `generate-lockfiles` writes it, with
        the digest that the tag stands for and with what the registry says of each platform's image.

        Example: `lock="base.lock"`
        """
    )


class ImageBaseTarget(Target):
    alias = "image_base"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ImageBaseRepositoryField,
        ImageBaseTagField,
        ImageBaseDigestField,
        ImageBaseLockField,
    )
    help = softwrap(
        """
        An image of a registry, for the `base` of a `layered_image`.

        Its layers are fetched once, when the first image on it is built, and `publish` mounts them
        from where they are if that is the same registry.

        Example:

            image_base(name="debian", repository="debian", tag="bookworm-slim", lock="base.lock")
            layered_image(name="image", base=":debian", …)
        """
    )

    def validate(self) -> None:
        tag, digest = self[ImageBaseTagField].value, self[ImageBaseDigestField].value
        if (tag is None) == (digest is None):
            raise LayeredImageError(
                self.address,
                "give either a tag (with a lock) or a digest",
                ImageBaseTagField.alias if tag else ImageBaseDigestField.alias,
            )
        if tag is not None and not self[ImageBaseLockField].value:
            raise LayeredImageError(
                self.address,
                "a tag can mean another image tomorrow: name a `lock` file for "
                "`generate-lockfiles` to write, or give the digest instead",
                ImageBaseLockField.alias,
            )
