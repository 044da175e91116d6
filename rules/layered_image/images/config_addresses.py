"""Addresses in a container configuration: found, and replaced by paths in the image."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

#: Keys whose items may be addresses; in ``Env`` they are written in braces.
_COMMANDS = ("Cmd", "Entrypoint")
_ADDRESS = re.compile(r"(//|:)[^\s{}]*")
_BRACES = re.compile(r"\{((?://|:)[^\s{}]*)\}")


def find_addresses(config: Mapping[str, Any]) -> List[str]:
    """All addresses in ``config``, in order, each once."""
    found: Dict[str, None] = {}
    for key in _COMMANDS:
        found.update({item: None for item in config.get(key, ()) if _ADDRESS.fullmatch(item)})
    test = config.get("Healthcheck", {}).get("Test", ())
    found.update({item: None for item in test if _ADDRESS.fullmatch(item)})
    for item in config.get("Env", ()):
        found.update({address: None for address in _BRACES.findall(item)})
    return list(found)


def replace_addresses(config: Mapping[str, Any], paths: Mapping[str, str]) -> Dict[str, Any]:
    """``config`` with each address of ``find_addresses`` replaced by its path."""
    result = dict(config)
    for key in _COMMANDS:
        if key in result:
            result[key] = [paths.get(item, item) for item in result[key]]
    if "Test" in result.get("Healthcheck", {}):
        test = [paths.get(item, item) for item in result["Healthcheck"]["Test"]]
        result["Healthcheck"] = {**result["Healthcheck"], "Test": test}
    if "Env" in result:
        result["Env"] = [
            _BRACES.sub(lambda match: paths.get(match[1], match[0]), item) for item in result["Env"]
        ]
    return result
