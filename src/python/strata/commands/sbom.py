"""``strata sbom``: an image's SBOM from what its build knows.

SPEC has ``facts`` (``strata.supply_chain.facts.ImageFacts``) and ``output``, the file to write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from strata.supply_chain.facts import ImageFacts
from strata.supply_chain.sbom import write_sbom


def run(spec: Dict[str, Any], out: Path) -> None:
    """Writes ``spec["output"]`` below ``out``."""
    target = out / spec["output"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(write_sbom(ImageFacts.from_json(spec["facts"])))
