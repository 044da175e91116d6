"""What is in an SBOM, for tests that look something up."""

from __future__ import annotations

from typing import Any, Dict, List


def components(bom: Dict[str, Any], kind: str) -> Dict[str, Dict[str, Any]]:
    """Components by name; ``kind`` is what their references begin with (``python``, ``debian``)."""
    return {
        item["name"]: item
        for item in bom["components"]
        if item["bom-ref"].partition(":")[0] == kind
    }


def properties(item: Dict[str, Any]) -> Dict[str, List[str]]:
    """All values of each property of a component."""
    found: Dict[str, List[str]] = {}
    for row in item["properties"]:
        found.setdefault(row["name"], []).append(row["value"])
    return found
