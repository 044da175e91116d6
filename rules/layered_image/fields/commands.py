"""The fields of ``layered_image`` for commands."""

from __future__ import annotations

import re
from typing import Dict, Optional

from pants.engine.addresses import Address
from pants.engine.target import (
    BoolField,
    DictStringToStringField,
    IntField,
    StringField,
    StringSequenceField,
    Target,
)
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class LayeredImageExtraCommandsField(StringField):
    alias = "extra_commands"
    help = softwrap(
        """
        Bash commands to run in the customisation layer's tree, as in dockerTools' `extraCommands`:
        paths are relative to the image's root, which holds the links into the store and the
        declared entries, and nothing of other layers. They cannot change owners.

        Example: `extra_commands="mkdir -p var/lib/app\\necho 1 > var/lib/app/version\\n"`

        They run in a sandbox without network, with this machine's usual POSIX tools and
        `command_tools`. A command that fails ends the build.
        """
    )


class LayeredImageFakerootCommandsField(StringField):
    alias = "fakeroot_commands"
    help = softwrap(
        """
        Bash commands to run after `extra_commands` as root of a user namespace: `chown`, `setcap`
        and `mknod` work, and nobody needs to be root on this machine. Paths are relative, as for
        `extra_commands`, unless `fakeroot_chroot` is set.

        Example: `fakeroot_commands="mkdir -p var/lib/app\\nchown 1000:1000 var/lib/app\\n"`
        """
    )


class LayeredImageFakerootChrootField(BoolField):
    alias = "fakeroot_chroot"
    default = False
    help = softwrap(
        """
        Whether `/` is the image for `fakeroot_commands`: its base, all layers and the
        customisation layer, with the image's own programs. What the commands add, change and
        delete becomes the image's last layer. Any change of a lower layer runs them again.

        Example: `fakeroot_commands="useradd -u 1000 app", fakeroot_chroot=True`
        """
    )


class LayeredImageCommandToolsField(StringSequenceField):
    alias = "command_tools"
    help = softwrap(
        """
        Programs that the commands may call besides those of the image, or the usual ones where the
        image is not their root: names of programs of this machine, and addresses of targets, which
        are called by the target's name.

        Example: `command_tools=["jq", "//tools:migrate"]`
        """
    )


class LayeredImageCommandEnvField(DictStringToStringField):
    alias = "command_env"
    help = softwrap(
        """
        Environment variables of the commands, and only of them.

        Example: `command_env={"DEBIAN_FRONTEND": "noninteractive"}`
        """
    )

    @classmethod
    def compute_value(
        cls, raw_value: Optional[Dict[str, str]], address: Address
    ) -> Optional[FrozenDict[str, str]]:
        value = super().compute_value(raw_value, address)
        for name in value or ():
            if not _NAME.fullmatch(name):
                raise invalid_field(address, cls.alias, f"{name!r} is no name of a variable")
        return value


class LayeredImageCommandTimeoutField(IntField):
    alias = "command_timeout"
    default = 600
    help = softwrap(
        """
        After how many seconds the commands of a field are stopped, and the build fails. Defaults to
        ten minutes.

        Example: `command_timeout=1800`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Optional[int], address: Address) -> Optional[int]:
        value = super().compute_value(raw_value, address)
        if value is None or value <= 0:
            raise invalid_field(address, cls.alias, f"it must be more than 0 seconds, not {value}")
        return value


class LayeredImageCommandNetworkField(BoolField):
    alias = "command_network"
    default = False
    help = softwrap(
        """
        Whether the commands may use the network. What they fetch can be another thing tomorrow, so
        their result is not cached, and the image is not reproducible.

        Example: `command_network=True`
        """
    )


COMMAND_FIELDS = (
    LayeredImageExtraCommandsField,
    LayeredImageFakerootCommandsField,
    LayeredImageFakerootChrootField,
    LayeredImageCommandToolsField,
    LayeredImageCommandEnvField,
    LayeredImageCommandTimeoutField,
    LayeredImageCommandNetworkField,
)


def has_commands(target: Target) -> bool:
    return any(
        (target[field].value or "").strip()
        for field in (LayeredImageExtraCommandsField, LayeredImageFakerootCommandsField)
    )
