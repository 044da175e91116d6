"""Who signs a published image, if anybody does."""

from __future__ import annotations

from typing import Any, Dict

from pants.base.build_environment import get_buildroot
from pants.engine.target import Target

from layered_image.errors import LayeredImageError
from layered_image.fields.publishing import ImageSignField
from layered_image.registries.registries import Registry
from layered_image.subsystem import LayeredImageSubsystem

_OPTION = "[layered-images].signing_command"


def is_signed(target: Target, registry: Registry, options: LayeredImageSubsystem) -> bool:
    """Whether ``target`` is signed in ``registry``: its field says so, or else the registry.

    Raises LayeredImageError if it should be, and there is no command for it.
    """
    field = target[ImageSignField].value
    wanted: bool = registry.sign if field is None else field
    if wanted and not options.signing_command:
        origin = "" if field else f" by `sign = true` of the registry @{registry.alias}"
        raise LayeredImageError(
            target.address,
            f"the image is to be signed{origin}, and {_OPTION} is not set: set it, or this field "
            "to False",
            ImageSignField.alias,
        )
    return wanted


def signing_settings(options: LayeredImageSubsystem) -> Dict[str, Any]:
    """For ``strata publish``."""
    return {
        "argv": list(options.signing_command),
        # An entry may bring its value with it.
        "environment": [item.partition("=")[0] for item in options.signing_env_vars],
        "directory": get_buildroot(),
        "timeout": options.signing_timeout,
        "recursive": options.signing_recursive,
        "option": _OPTION,
    }
