"""Helper targets for ``contents``: what lies at a path of its own in the image."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Dict, Optional

from pants.engine.addresses import Address
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    Field,
    SpecialCasedDependencies,
    StringField,
    Target,
)
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field
from layered_image.target_types import frozen

_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]*\$?")
_USER_KEYS = {"uid": int, "gid": int, "group": str, "home": str, "shell": str, "comment": str}
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
    help = "The absolute path in the image."

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> str:
        return _absolute(super().compute_value(raw_value, address), address, cls.alias)


class ImageModeField(StringField):
    alias = "mode"
    default = "0755"
    help = "The permission bits in octal: `0755`, or `1777` for a folder like `/tmp`."

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> str:
        value = super().compute_value(raw_value, address)
        if value is None or not re.fullmatch(r"[0-7]{3,5}", value):
            raise invalid_field(address, cls.alias, f"it must be octal like '0755', not {value!r}")
        return value


class ImageOwnerField(StringField):
    alias = "owner"
    default = "0:0"
    help = "The numeric owner and group: `1000:1000`."

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
    help = "What the link says, absolute or relative to its folder."


class ImageSymlinkTarget(Target):
    alias = "image_symlink"
    core_fields = (*COMMON_TARGET_FIELDS, ImagePathField, ImageSymlinkTargetField)
    help = softwrap(
        """
        A symbolic link in the image:
        `image_symlink(name="python", path="/usr/bin/python3", target="python3.11")`.
        """
    )


class ImageUsersField(Field):
    alias = "users"
    value: FrozenDict
    default: ClassVar[FrozenDict] = FrozenDict()
    help = softwrap(
        """
        Users beside `root` and `nobody`, as a dict of name to a dict with `uid`, and optionally
        `gid` (the uid), `group` (the name), `home` (`/nonexistent`), `shell` (`/usr/sbin/nologin`)
        and `comment`.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> FrozenDict:
        value = super().compute_value(raw_value, address)
        if not isinstance(value, (dict, FrozenDict)):
            raise invalid_field(address, cls.alias, f"it must be a dict, not {value!r}")
        for name, user in value.items():
            cls._check(name, user, address)
        return frozen(dict(value))

    @classmethod
    def _check(cls, name: Any, user: Any, address: Address) -> None:
        if not isinstance(name, str) or not _USER_NAME.fullmatch(name):
            raise invalid_field(address, cls.alias, f"{name!r} is not a user name")
        if not isinstance(user, (dict, FrozenDict)) or "uid" not in user:
            raise invalid_field(address, cls.alias, f"{name!r} needs a dict with at least 'uid'")
        for key, item in user.items():
            wanted = _USER_KEYS.get(key)
            if wanted is None:
                raise invalid_field(
                    address,
                    cls.alias,
                    f"unknown key {key!r} of {name!r}; the keys are {', '.join(_USER_KEYS)}",
                )
            if type(item) is not wanted or (isinstance(item, str) and set(item) & set(":\n")):
                raise invalid_field(
                    address, cls.alias, f"{key!r} of {name!r} must be a plain {wanted.__name__}"
                )


class ImageUsersTarget(Target):
    alias = "image_users"
    core_fields = (*COMMON_TARGET_FIELDS, ImageUsersField)
    help = softwrap(
        """
        `/etc/passwd`, `/etc/group` and `/etc/nsswitch.conf` with `root`, `nobody` and your users.

        Example:

            image_users(name="users", users={"app": {"uid": 1000, "home": "/home/app"}})
        """
    )


class ImageCertificatesPackagesField(StringField):
    alias = "packages"
    required = True
    help = "The address of the `debian_packages` target that has `ca-certificates`."


class ImageCertificatesTarget(Target):
    alias = "image_certificates"
    core_fields = (*COMMON_TARGET_FIELDS, ImageCertificatesPackagesField)
    help = softwrap(
        """
        `/etc/ssl/certs/ca-certificates.crt`, the bundle of certificate authorities that
        `update-ca-certificates` would write, from a locked `ca-certificates` package.

        Example:

            image_certificates(name="certificates", packages=":os")
        """
    )


class ImageFilesDependenciesField(SpecialCasedDependencies):
    alias = "files"
    required = True
    help = "Addresses of `files`, `resources` and of targets that `package` can build."


class ImageFilesDestinationField(StringField):
    alias = "destination"
    default = "/"
    help = "The folder in the image to place the files in."

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


def users_files(users: FrozenDict) -> Dict[str, str]:
    """The content of ``/etc/passwd``, ``/etc/group`` and ``/etc/nsswitch.conf`` by path.

    The formats are those of passwd(5), group(5) and nsswitch.conf(5).
    """
    passwd = ["root:x:0:0:root:/root:/usr/sbin/nologin"]
    groups = {"root": 0, "nogroup": 65534}
    for name, user in sorted(users.items(), key=lambda item: item[1]["uid"]):
        gid = user.get("gid", user["uid"])
        groups.setdefault(user.get("group", name), gid)
        home, shell = user.get("home", "/nonexistent"), user.get("shell", "/usr/sbin/nologin")
        passwd.append(f"{name}:x:{user['uid']}:{gid}:{user.get('comment', '')}:{home}:{shell}")
    passwd.append("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin")
    ordered = sorted(groups.items(), key=lambda item: item[1])
    return {
        "etc/passwd": "".join(f"{line}\n" for line in passwd),
        "etc/group": "".join(f"{name}:x:{gid}:\n" for name, gid in ordered),
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
