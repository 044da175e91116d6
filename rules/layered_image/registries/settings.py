"""What the engine's registry client is told: only what concerns the registries it will speak to,
so that a setting of one changes no process of another."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, Tuple

from pants.engine.fs import GlobMatchErrorBehavior, PathGlobs
from pants.util.logging import LogLevel

from layered_image.engine import (
    collect_rules,
    get_digest_contents,
    path_globs_to_digest,
    rule,
)
from layered_image.registries.registries import Registries
from layered_image.subsystem import LayeredImageSubsystem
from strata.errors import StrataError
from strata.registry.reference import parse_reference


@dataclass(frozen=True)
class RegistrySettingsRequest:
    """``names`` are repositories with their registry's host in front."""

    names: Tuple[str, ...]


@dataclass(frozen=True)
class RegistrySettingsText:
    """``text`` is JSON for ``strata.registry.settings.ClientSettings.from_json``."""

    text: str


@rule(desc="Read the settings of registries", level=LogLevel.DEBUG)
async def read_registry_settings(
    request: RegistrySettingsRequest, options: LayeredImageSubsystem
) -> RegistrySettingsText:
    hosts = sorted({parse_reference(name).registry for name in request.names})
    ways = Registries.from_option(options.registries).ways(hosts)
    # Files of the repository go along as text; others are where they are on each machine.
    ours = sorted({w.ca_file for w in ways.values() if w.ca_file and not os.path.isabs(w.ca_file)})
    digest = await path_globs_to_digest(
        PathGlobs(ours, glob_match_error_behavior=GlobMatchErrorBehavior.ignore)
    )
    contents = await get_digest_contents(digest)
    found = {item.path: item.content.decode(errors="replace") for item in contents}
    registries: Dict[str, Any] = {}
    for host, way in ways.items():
        path = os.path.normpath(way.ca_file) if way.ca_file else ""
        if way.ca_file in ours and path not in found:
            raise StrataError(
                f"[layered-images].registries.{way.alias}: there is no file {way.ca_file} below "
                "the build root (`ca_file`)"
            )
        registries[host] = {
            "plain_http": way.plain_http,
            "mirrors": list(way.mirrors),
            "ca_file": "" if way.ca_file in ours else way.ca_file,
            "ca_data": found.get(path, ""),
        }
    settings = {"registries": registries, "concurrency": options.registry_concurrency}
    return RegistrySettingsText(json.dumps(settings, sort_keys=True))


def rules():
    return collect_rules()
