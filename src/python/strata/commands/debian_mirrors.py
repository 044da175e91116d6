"""``strata debian-mirrors``: the machine's mirrors for the suites that ``spec`` names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from strata.closure.debian.mirror import mirrors_for
from strata.commands.layer import write_json


def run(spec: Dict[str, Any], out: Path) -> None:
    found = {suite: [mirror.uri for mirror in mirrors_for(suite)] for suite in spec["suites"]}
    write_json(out / "mirrors.json", found)
