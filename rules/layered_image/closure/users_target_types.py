"""The ``image_users`` target."""

from __future__ import annotations

from typing import Any, ClassVar, Mapping

from pants.engine.addresses import Address
from pants.engine.target import COMMON_TARGET_FIELDS, BoolField, Field, Target
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field
from layered_image.fields.owners import NO_IDENTIFIER, USER_NAME
from layered_image.fields.values import frozen

_USER_KEYS = {"uid": int, "gid": int, "group": str, "home": str, "shell": str, "comment": str}
_GROUP_KEYS = {"gid": int, "members": list}


class _AccountsField(Field):
    """A dict of names to dicts that have at least ``required``."""

    value: FrozenDict
    default: ClassVar[FrozenDict] = FrozenDict()
    keys: ClassVar[Mapping[str, type]]
    required_key: ClassVar[str]

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> FrozenDict:
        value = super().compute_value(raw_value, address)
        if not isinstance(value, (dict, FrozenDict)):
            raise invalid_field(address, cls.alias, f"it must be a dict, not {value!r}")
        for name, account in value.items():
            cls._check_name(name, address)
            if not isinstance(account, (dict, FrozenDict)) or cls.required_key not in account:
                raise invalid_field(
                    address, cls.alias, f"{name!r} needs a dict with at least {cls.required_key!r}"
                )
            for key, item in account.items():
                cls._check_item(name, key, item, address)
        return frozen(dict(value))

    @classmethod
    def _check_name(cls, name: Any, address: Address) -> None:
        if not isinstance(name, str) or not USER_NAME.fullmatch(name):
            raise invalid_field(
                address, cls.alias, f"{name!r} is not a name of a user or a group, such as 'app'"
            )

    @classmethod
    def _check_item(cls, name: str, key: Any, item: Any, address: Address) -> None:
        wanted = cls.keys.get(key)
        if wanted is None:
            raise invalid_field(
                address,
                cls.alias,
                f"unknown key {key!r} of {name!r}; the keys are {', '.join(cls.keys)}",
            )
        if wanted is list:
            if not isinstance(item, (list, tuple)):
                raise invalid_field(
                    address, cls.alias, f"{key!r} of {name!r} must be a list of user names"
                )
            for member in item:
                cls._check_name(member, address)
        elif type(item) is not wanted or (isinstance(item, str) and set(item) & set(":\n")):
            raise invalid_field(
                address, cls.alias, f"{key!r} of {name!r} must be a plain {wanted.__name__}"
            )
        elif isinstance(item, int) and not 0 <= item < NO_IDENTIFIER:
            raise invalid_field(
                address, cls.alias, f"{key!r} of {name!r} must be from 0 to {NO_IDENTIFIER - 1}"
            )


class ImageUsersField(_AccountsField):
    alias = "users"
    keys = _USER_KEYS
    required_key = "uid"
    help = softwrap(
        """
        Users beside `root` and `nobody`, as a dict of name to a dict with `uid`, and optionally
        `gid` (the uid), `group` (the name), `home` (`/nonexistent`), `shell` (`/usr/sbin/nologin`)
        and `comment`. `root` may be among them, for another home or shell:
        `users={"root": {"uid": 0, "shell": "/bin/sh"}}`.
        """
    )


class ImageGroupsField(_AccountsField):
    alias = "groups"
    keys = _GROUP_KEYS
    required_key = "gid"
    help = softwrap(
        """
        Groups beside those of the users, as a dict of name to a dict with `gid`, and optionally
        `members`: `groups={"media": {"gid": 44, "members": ["app"]}}`.
        """
    )


class ImageShadowField(BoolField):
    alias = "shadow"
    default = False
    help = softwrap(
        """
        Whether there are `/etc/shadow` and `/etc/gshadow` too, in which nobody has a password.
        Programs that check or change passwords, `useradd` among them, ask for these:
        `shadow=True`.
        """
    )


class ImageUsersTarget(Target):
    alias = "image_users"
    core_fields = (*COMMON_TARGET_FIELDS, ImageUsersField, ImageGroupsField, ImageShadowField)
    help = softwrap(
        """
        `/etc/passwd`, `/etc/group` and `/etc/nsswitch.conf` with `root`, `nobody` and your users.

        Example:

            image_users(name="users", users={"app": {"uid": 1000, "home": "/home/app"}})
        """
    )
