"""``strata fetch-blob``: a blob of a registry, verified.

The specification has ``repository`` (with its registry's host), ``digest``, ``size`` in bytes, the
``settings`` (``strata.registry.settings``), the folder ``cache`` and ``output``. What is there
when a download is cut stays in the cache, and the next one goes on from it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict

from strata.commands.base_lock import warn
from strata.registry.client import RegistryClient
from strata.registry.descriptor import Descriptor
from strata.registry.reference import parse_reference
from strata.registry.settings import ClientSettings


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError if the registry does not have the blob, or has another."""
    descriptor = Descriptor("", spec["digest"], spec["size"])
    algorithm, _, encoded = descriptor.digest.partition(":")
    held = Path(spec["cache"]) / algorithm / encoded
    held.parent.mkdir(parents=True, exist_ok=True)
    with RegistryClient(ClientSettings.from_json(spec["settings"]), warn=warn) as client:
        repository = client.repository(parse_reference(spec["repository"]))
        repository.download_blob(descriptor, held)
    # Whoever runs this keeps the output: a second copy would only take space.
    shutil.move(str(held), out / spec["output"])
