"""``strata debian-lock``: resolves packages with apt and writes a lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from strata.closure.debian.lock import render_locks
from strata.closure.debian.resolve import resolve


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError if apt cannot resolve the packages."""
    target = out / spec["output"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render_locks(resolve(spec), spec["address"]))
