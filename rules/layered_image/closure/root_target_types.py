"""Helper targets for ``contents``: what lies at a path of its own in the image."""

from __future__ import annotations

import re
from typing import Optional

from pants.engine.addresses import Address
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    SpecialCasedDependencies,
    StringField,
    Target,
)
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field

_OWNER = re.compile(r"\d+:\d+")


def _absolute(value: Optional[str], address: Address, alias: str) -> str:
    parts = (value or "").split("/")
    if not value or parts[0] or len(parts) < 2 or any(p in ("", ".", "..") for p in parts[1:]):
        raise invalid_field(
            address, alias, f"it must be an absolute path without '.' and '..' parts, not {value!r}"
        )
    return value


class ImagePathField(StringField):
    alias = "path"
    required = True
    help = 'The absolute path in the image: `path="/var/spool/app"`.'

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> str:
        return _absolute(super().compute_value(raw_value, address), address, cls.alias)


class ImageModeField(StringField):
    alias = "mode"
    default = "0755"
    help = 'The permission bits in octal: `mode="1777"` for a folder like `/tmp`.'

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> str:
        value = super().compute_value(raw_value, address)
        if value is None or not re.fullmatch(r"[0-7]{3,5}", value):
            raise invalid_field(address, cls.alias, f"it must be octal like '0755', not {value!r}")
        return value


class ImageOwnerField(StringField):
    alias = "owner"
    default = "0:0"
    help = 'The numeric owner and group: `owner="1000:1000"`.'

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> str:
        value = super().compute_value(raw_value, address)
        if value is None or not _OWNER.fullmatch(value):
            raise invalid_field(
                address, cls.alias, f"it must be numeric like '1000:1000', not {value!r}"
            )
        return value


class ImageDirectoryModeField(ImageModeField):
    pass


class ImageDirectoryTarget(Target):
    alias = "image_directory"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ImagePathField,
        ImageDirectoryModeField,
        ImageOwnerField,
    )
    help = softwrap(
        """
        A folder in the image: `image_directory(name="tmp", path="/tmp", mode="1777")`.
        """
    )


class ImageSymlinkTargetField(StringField):
    alias = "target"
    required = True
    help = 'What the link says, absolute or relative to its folder: `target="python3.11"`.'


class ImageSymlinkTarget(Target):
    alias = "image_symlink"
    core_fields = (*COMMON_TARGET_FIELDS, ImagePathField, ImageSymlinkTargetField)
    help = softwrap(
        """
        A symbolic link in the image:
        `image_symlink(name="python", path="/usr/bin/python3", target="python3.11")`.
        """
    )


class ImageFilesDependenciesField(SpecialCasedDependencies):
    alias = "files"
    required = True
    help = softwrap(
        """
        Addresses of `files`, `resources` and of targets that `package` can build:
        `files=[":settings", "//tools:archive"]`.
        """
    )


class ImageFilesDestinationField(StringField):
    alias = "destination"
    default = "/"
    help = 'The folder in the image to place the files in: `destination="/etc/app"`.'

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> str:
        value = super().compute_value(raw_value, address)
        return "/" if value == "/" else _absolute(value, address, cls.alias)


class ImageFilesStripPrefixField(StringField):
    alias = "strip_prefix"
    default = ""
    help = softwrap(
        """
        A folder to take off the front of every file's path, relative to the repository's root.
        By default a file is placed by its path relative to its target's BUILD file.

        Example: `strip_prefix="deploy/settings"`
        """
    )


class ImageFilesTarget(Target):
    alias = "image_files"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        ImageFilesDependenciesField,
        ImageFilesDestinationField,
        ImageFilesStripPrefixField,
    )
    help = softwrap(
        """
        Files at a place of your choice, in a layer of their own.

        Example:

            image_files(name="settings", files=["//etc:settings"], destination="/etc/app")
        """
    )
