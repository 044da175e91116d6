"""``strata provenance``: how an image was built, as a statement about it.

SPEC has the fields of ``strata.supply_chain.provenance.Build``, with ``images`` as a list of
``ImageFacts``, and ``output``, the file to write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from strata.supply_chain.facts import ImageFacts
from strata.supply_chain.provenance import Build, write_provenance


def run(spec: Dict[str, Any], out: Path) -> None:
    """Writes ``spec["output"]`` below ``out``."""
    build = Build(
        spec["name"],
        spec["digest"],
        [ImageFacts.from_json(item) for item in spec["images"]],
        spec["parameters"],
        spec["builder"],
        spec["versions"],
    )
    target = out / spec["output"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(write_provenance(build))
