"""The layer that maintainer scripts of Debian packages leave (Debian policy, chapter 6)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Tuple

from pants.engine.addresses import Address
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.debian import MERGED_USR
from layered_image.closure.debian_target_types import DebianConfigureField
from layered_image.closure.provider import ProvidedObject, RootEntry
from layered_image.commands.process import (
    CommandFile,
    CommandProcessRequest,
    LowerLayer,
    run_command_process,
)
from layered_image.engine import collect_rules, get_digest_contents, implicitly, rule
from layered_image.errors import LayeredImageError
from layered_image.images.layers import (
    BuiltLayer,
    CustomisationRequest,
    LayerSettings,
    build_customisation,
)
from strata.platforms import Platform

_TIMEOUT = 1800
# Scripts may ask debconf, and start services through invoke-rc.d: there is nobody to answer, and
# nothing is to run here. Logs, backups and caches of times are no part of an image.
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "LC_ALL": "C",
}
_COMMANDS = """
rm -rf /var/lib/dpkg/status.d
mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/alternatives /usr/sbin
test -e /var/lib/dpkg/status || touch /var/lib/dpkg/status
test -e /var/lib/dpkg/available || touch /var/lib/dpkg/available
kept=
if test -e /usr/sbin/policy-rc.d; then kept=1; else
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
dpkg="dpkg --log=/dev/null --force-unsafe-io --force-confold --no-triggers"
$dpkg --force-depends --unpack /.strata/files/*.deb
dpkg --log=/dev/null --force-unsafe-io --force-confold --configure --pending
test -n "$kept" || rm /usr/sbin/policy-rc.d
rm -f /var/lib/dpkg/*-old /var/lib/dpkg/lock* /var/lib/dpkg/triggers/Lock
rm -f /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache /var/lib/dpkg/updates/*
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/.pwd.lock
rm -f /var/log/alternatives.log /var/log/dpkg.log
"""


@dataclass(frozen=True)
class ConfigurationRequest:
    """``lower`` are the layers that hold ``packages``, and those of the base image; ``entries``
    are all that the image declares."""

    image: Address
    packages: Tuple[ProvidedObject, ...]
    entries: Tuple[RootEntry, ...]
    settings: LayerSettings
    lower: Tuple[LowerLayer, ...]
    platform: Platform


@rule(desc="Configure Debian packages", level=LogLevel.DEBUG)
async def configure_packages(request: ConfigurationRequest) -> BuiltLayer:
    """Its key holds the packages' layers and nothing of the image that is above them."""
    settings = request.settings
    plain = LayerSettings("none", settings.mtime, 0, 0)
    links = await build_customisation(
        CustomisationRequest(
            plain,
            (),
            None,
            (),
            (),
            tuple(entry for entry in request.entries if entry.path in MERGED_USR),
        ),
        **implicitly(),
    )
    field = DebianConfigureField.alias
    script = {"field": field, "text": _COMMANDS, "as_root": True, "in_image": True}
    built = await run_command_process(
        CommandProcessRequest(
            description=f"Configure {len(request.packages)} Debian packages",
            member="configuration",
            scripts=json.dumps([script]),
            platform=request.platform,
            settings=LayerSettings(settings.compression, settings.mtime, 0, 0),
            customisation=links,
            lower=request.lower,
            named_files=tuple(
                CommandFile(package.source.rpartition("/")[2], package.source)
                for package in request.packages
            ),
            files=tuple(package.digest for package in request.packages),
            environment=FrozenDict(_ENVIRONMENT),
            timeout=_TIMEOUT,
        ),
        **implicitly(),
    )
    if built.error:
        message = built.error.partition(": ")[2] if built.error.startswith(field) else built.error
        raise LayeredImageError(
            request.image, f"the scripts of its Debian packages failed: {message}", field
        )
    contents = await get_digest_contents(built.listings)
    changed = set(json.loads(contents[0].content))
    for entry in request.entries:
        if entry.path in changed and entry.type != "directory" and entry.path not in MERGED_USR:
            raise LayeredImageError(
                request.image,
                f"it declares /{entry.path}, which the scripts of its Debian packages make too: "
                "leave the declaration out, or change the file in fakeroot_commands",
                field,
            )
    return built


def rules():
    return collect_rules()
