"""Pex' complete platform files: which of a target's are for an image."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Tuple

from strata.closure.python.metadata import PythonPlatform
from strata.errors import StrataError
from strata.platforms import MACHINES


def choose_complete_platforms(
    files: Mapping[str, bytes], platform: PythonPlatform
) -> Tuple[str, ...]:
    """The paths of those of ``files`` (content by path) that describe the image's platform: its
    machine, and among those of its machine its minor version of Python, where any does.

    Raises StrataError for a file that is none, and if none is for the image's machine.
    """
    machine = MACHINES[platform.architecture]
    environments = {path: _environment(path, text) for path, text in sorted(files.items())}
    fitting = [
        path
        for path, found in environments.items()
        if (found.get("sys_platform", "linux"), found["platform_machine"]) == ("linux", machine)
    ]
    if not fitting:
        known = sorted({str(found["platform_machine"]) for found in environments.values()})
        raise StrataError(
            f"none of its files is for Linux on {machine}, which the image is for (they are for "
            f"{', '.join(known)}); add one, as `pex3 interpreter inspect --markers --tags` of the "
            "image's interpreter writes it"
        )
    same = [path for path in fitting if environments[path].get("python_version") == platform.minor]
    return tuple(same or fitting)


def _environment(path: str, text: bytes) -> Dict[str, Any]:
    try:
        data = json.loads(text)
        environment = dict(data["marker_environment"])
        environment["platform_machine"]
    except (KeyError, TypeError, ValueError):
        raise StrataError(
            f"{path} is no complete platform file: it must be JSON with a 'marker_environment' "
            "that has a 'platform_machine'"
        ) from None
    return environment
