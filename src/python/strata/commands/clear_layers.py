"""``strata clear-layers``: removes the unpacked layers in ``cache``, whoever they belong to.

Files of a user's subordinate ids cannot be removed by that user outside of a namespace.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

from strata.errors import StrataError
from strata.namespace.isolation import run_isolated
from strata.namespace.machine import choose_isolation
from strata.namespace.tree import remove_tree


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError if something cannot be removed."""
    cache = Path(os.path.abspath(spec["cache"]))
    if not cache.exists():
        return

    def remove() -> int:
        for path in cache.iterdir():
            if path.is_dir():
                remove_tree(path)
            else:
                path.unlink()
        return 0

    isolation = choose_isolation(network=False, in_image=False)
    if run_isolated(remove, isolation):
        raise StrataError(f"not all that is in {cache} could be removed; see the message above")
