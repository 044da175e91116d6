"""The CPythons of this machine that the engine can run on."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Dict


def interpreters() -> Dict[str, str]:
    """One CPython for each minor version that the engine supports, by version."""
    candidates = [
        # Beside the one that runs this test: as pyenv and as uv lay them out.
        *Path(sys.base_prefix).parent.glob("3.*/bin/python3.*"),
        *Path(sys.base_prefix).parent.glob("cpython-3.*/bin/python3.*"),
        *Path("/usr/bin").glob("python3.*"),
        *Path("/usr/local/bin").glob("python3.*"),
    ]
    found = {}
    for path in sorted(candidates):
        match = re.fullmatch(r"python(3\.\d+)", path.name)
        if match and (3, 9) <= tuple(int(part) for part in match[1].split(".")) <= (3, 14):
            found[match[1]] = str(path)
    return found
