"""Fields that say whom files of an image belong to, and what their modes are."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Optional, Tuple

from pants.engine.addresses import Address
from pants.engine.target import (
    Field,
    IntField,
    StringField,
)
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field
from layered_image.fields.values import frozen
from strata.closure.owners import parse_rules
from strata.errors import StrataError

#: chown(2) takes the largest number for "as it is".
NO_IDENTIFIER = (1 << 32) - 1
#: Names of users and groups as useradd(8) takes them.
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]*\$?")


class _IdentifierField(IntField):
    default = 0

    @classmethod
    def compute_value(cls, raw_value: Optional[int], address: Address) -> Optional[int]:
        value = super().compute_value(raw_value, address)
        if value is None or not 0 <= value < NO_IDENTIFIER:
            raise invalid_field(
                address, cls.alias, f"it must be from 0 to {NO_IDENTIFIER - 1}, not {value}"
            )
        return value


class LayeredImageUidField(_IdentifierField):
    alias = "uid"
    help = softwrap(
        """
        The numeric owner of everything in the store, for programs that write to their own code or
        check who owns it: `uid=1000`. Declared entries, Debian packages and placed files keep their
        own owners; see `owners`.
        """
    )


class LayeredImageGidField(_IdentifierField):
    alias = "gid"
    help = "The numeric group of everything in the store: `gid=1000`."


class _OwnerNameField(StringField):
    default = ""

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        if value and (len(value) > 32 or not USER_NAME.fullmatch(value)):
            raise invalid_field(
                address,
                cls.alias,
                f"it must be a name such as 'app', as useradd takes it, not {value!r}",
            )
        return value


class LayeredImageUnameField(_OwnerNameField):
    alias = "uname"
    help = softwrap(
        """
        The name of the store's owner in the layers' headers: `uname="app"`. Container runtimes go
        by `uid` alone, but GNU tar as root prefers a name that the machine knows: by default there
        is none.
        """
    )


class LayeredImageGnameField(_OwnerNameField):
    alias = "gname"
    help = softwrap(
        """
        The name of the store's group in the layers' headers, as `uname` is that of its owner:
        `gname="app"`.
        """
    )


class LayeredImageOwnersField(Field):
    alias = "owners"
    value: Tuple[FrozenDict, ...]
    default: ClassVar[Tuple[FrozenDict, ...]] = ()
    help = softwrap(
        """
        Owners, modes and file capabilities by path: a list of dicts with `paths` (a shell pattern
        of paths in the image, without a leading slash) and any of `uid`, `gid`, `mode` (octal) and
        `capabilities`. Later rules win. A rule that matches nothing is an error.

        Example: `owners=[{"paths": "opt/app/*", "uid": 1000},
        {"paths": "usr/bin/x", "capabilities": "cap_net_bind_service+ep"}]`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Tuple[FrozenDict, ...]:
        value = super().compute_value(raw_value, address)
        if not isinstance(value, (list, tuple)):
            raise invalid_field(address, cls.alias, f"it must be a list of dicts, not {value!r}")
        try:
            parse_rules(value)
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)
        result: Tuple[FrozenDict, ...] = frozen(value)
        return result
