"""``strata base-lock``: asks a registry what an image is, and writes that down.

The specification has ``repository`` (with its registry's host), ``tag`` or ``digest``, the
``settings`` (``strata.registry.settings``), and ``output``; ``address`` is named in the lock.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict

from strata.oci.base_lock import render_base_lock
from strata.registry.base_lock import lock_image
from strata.registry.client import RegistryClient
from strata.registry.reference import parse_reference
from strata.registry.settings import ClientSettings


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError if the registry does not have the image, or says so badly."""
    reference = parse_reference(spec["repository"])
    with RegistryClient(ClientSettings.from_json(spec["settings"]), warn=warn) as client:
        lock = lock_image(
            client.repository(reference), spec["repository"], spec["tag"], spec["digest"]
        )
    target = out / spec["output"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render_base_lock(lock, spec["address"]))


def warn(line: str) -> None:
    print(line, file=sys.stderr)
