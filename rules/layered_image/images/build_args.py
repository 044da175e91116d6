"""Build arguments: values that metadata may have, from options, fields and the environment.

They are written as in ``[docker].build_args``: ``NAME=value``, or ``NAME`` for the value of that
environment variable.
"""

from __future__ import annotations

import re
from typing import Dict, Mapping, Optional, Sequence

from strata.errors import StrataError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_build_args(arguments: Sequence[str]) -> Dict[str, Optional[str]]:
    """Values by name, the last one of a name; None stands for the environment's.

    Raises StrataError for what has no name.
    """
    result: Dict[str, Optional[str]] = {}
    for argument in arguments:
        name, has_value, value = argument.partition("=")
        if not _NAME.fullmatch(name):
            raise StrataError(
                f"{argument!r} is no build argument: write 'NAME=value', or 'NAME' to take the "
                "value from the environment"
            )
        result[name] = value if has_value else None
    return result


def build_arg(
    name: str, arguments: Mapping[str, Optional[str]], environment: Mapping[str, str]
) -> str:
    """Raises StrataError for an argument that nobody declared or that the environment lacks."""
    if name not in arguments:
        known = ", ".join(sorted(arguments)) or "none"
        raise StrataError(
            f"there is no build argument {name} (known: {known}); add it to "
            "[layered-images].build_args or `extra_build_args`"
        )
    value = arguments[name]
    if value is not None:
        return value
    if name not in environment:
        raise StrataError(
            f"the build argument {name} has no value of its own, and the environment variable "
            f"{name} is not set; set it, or write '{name}=value'"
        )
    return environment[name]
