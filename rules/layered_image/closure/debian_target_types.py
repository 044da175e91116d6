"""The ``debian_packages`` target and its fields."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from pants.engine.addresses import Address
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    BoolField,
    StringField,
    StringSequenceField,
    Target,
)
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field


class DebianPackagesField(StringSequenceField):
    alias = "packages"
    required = True
    help = softwrap(
        """
        Names of Debian packages. What they depend on comes along; essential packages do not:
        `packages=["python3.11-minimal", "libpq5"]`.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        if not value:
            raise invalid_field(address, cls.alias, "name at least one package")
        return value


class DebianLockField(StringField):
    alias = "lock"
    required = True
    help = softwrap(
        """
        The lock file, relative to the BUILD file's folder: `lock="debian.lock"`.
        `generate-debian-lockfiles` writes it.
        """
    )


class DebianSuitesField(StringSequenceField):
    alias = "suites"
    default = ("bookworm",)
    help = softwrap(
        """
        The suites to take packages from, for example
        `suites=["bookworm", "bookworm-updates"]`. Packages
        of a security suite vanish from mirrors when newer ones replace them: lock again then.
        """
    )


class DebianComponentsField(StringSequenceField):
    alias = "components"
    default = ("main",)
    help = 'The components of the suites to take packages from: `components=["main", "contrib"]`.'


class DebianArchitectureField(StringField):
    alias = "architecture"
    default = "amd64"
    help = softwrap(
        """
        The packages' architecture, as Debian names it: `amd64`, `arm64`, `armhf` and so on.

        Example: `architecture="arm64"`
        """
    )


class DebianConfigureField(BoolField):
    alias = "configure"
    default = False
    help = softwrap(
        """
        Whether the packages' maintainer scripts run, as they do when `dpkg` installs packages: in
        the image, as root of a user namespace. What they change becomes a layer of its own below
        the customisation layer.

        Maintainer scripts may call any essential package without depending on it, so the lock has
        those too: run `generate-debian-lockfiles` after a change of this field.

        Example: `configure=True`
        """
    )


class DebianPackagesTarget(Target):
    alias = "debian_packages"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        DebianPackagesField,
        DebianLockField,
        DebianSuitesField,
        DebianComponentsField,
        DebianArchitectureField,
        DebianConfigureField,
    )
    help = softwrap(
        """
        Debian packages for the `contents` of a `layered_image`, pinned by a lock file.

        Their maintainer scripts do not run unless `configure` is set: what those would have made is
        declared with `image_users`, `image_certificates`, `image_directory` and `image_symlink`.

        Example:

            debian_packages(name="os", packages=["python3.11-minimal"], lock="debian.lock")
        """
    )
