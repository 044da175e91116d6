"""From a customisation layer to the one that an image's commands make of it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Tuple

from pants.engine.target import Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.commands.process import CommandProcessRequest, LowerLayer, run_command_process
from layered_image.commands.tools import PackagedToolRequest, is_address, package_tool
from layered_image.engine import collect_rules, concurrently, implicitly, rule
from layered_image.errors import LayeredImageError
from layered_image.fields.commands import (
    LayeredImageCommandEnvField,
    LayeredImageCommandNetworkField,
    LayeredImageCommandTimeoutField,
    LayeredImageCommandToolsField,
    LayeredImageExtraCommandsField,
    LayeredImageFakerootChrootField,
    LayeredImageFakerootCommandsField,
    has_commands,
)
from layered_image.images.layers import BuiltLayer, LayerSettings
from strata.platforms import Platform

logger = logging.getLogger(__name__)

_FIELDS = (LayeredImageExtraCommandsField.alias, LayeredImageFakerootCommandsField.alias)


@dataclass(frozen=True)
class CommandsRequest:
    """``customisation`` is not compressed; ``settings`` say how the result is."""

    image: Target
    platform: Platform
    settings: LayerSettings
    customisation: BuiltLayer
    lower: Tuple[LowerLayer, ...]


@rule(desc="Run an image's commands", level=LogLevel.DEBUG)
async def run_commands(request: CommandsRequest) -> BuiltLayer:
    image = request.image
    names = image[LayeredImageCommandToolsField].value or ()
    packaged = await concurrently(
        package_tool(PackagedToolRequest(image, name), **implicitly())
        for name in names
        if is_address(name)
    )
    in_image = bool(image[LayeredImageFakerootChrootField].value)
    notice = network_notice(image)
    if notice:
        logger.warning(notice)
    return await run_command_process(
        CommandProcessRequest(
            description=f"Commands of {image.address}",
            member="customisation",
            scripts=_scripts(image, in_image),
            platform=request.platform,
            settings=request.settings,
            customisation=request.customisation,
            lower=request.lower if in_image else (),
            programs=tuple(name for name in names if not is_address(name)),
            packaged=packaged,
            environment=image[LayeredImageCommandEnvField].value or FrozenDict(),
            timeout=image[LayeredImageCommandTimeoutField].value or 0,
            network=bool(notice),
        ),
        **implicitly(),
    )


def network_notice(image: Target) -> str:
    """What to tell about an image whose commands use the network; empty for others."""
    field = LayeredImageCommandNetworkField
    if not image.has_field(field) or not has_commands(image) or not image[field].value:
        return ""
    return (
        f"{image.address}: its commands use the network "
        f"(`{LayeredImageCommandNetworkField.alias}`), so their result is not cached, and the "
        "image may be another one each time."
    )


def commands_error(image: Target, message: str) -> LayeredImageError:
    """``message`` as the engine has it, which starts with the field that the commands are in."""
    field, _, rest = message.partition(": ")
    if field in (*_FIELDS, LayeredImageCommandToolsField.alias):
        return LayeredImageError(image.address, rest, field)
    return LayeredImageError(image.address, message, _FIELDS[1])


def _scripts(image: Target, in_image: bool) -> str:
    extra, fakeroot = (
        image[field].value or ""
        for field in (LayeredImageExtraCommandsField, LayeredImageFakerootCommandsField)
    )
    scripts = [
        {"field": _FIELDS[0], "text": extra, "as_root": False, "in_image": False},
        {"field": _FIELDS[1], "text": fakeroot, "as_root": True, "in_image": in_image},
    ]
    return json.dumps([script for script in scripts if str(script["text"]).strip()])


def rules():
    return collect_rules()
