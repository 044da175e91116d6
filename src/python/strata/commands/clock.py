"""``strata clock``: prints the time, in seconds since the epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict


def run(spec: Dict[str, Any], out: Path) -> None:
    print(int(time.time()))
