"""Prints what its library, a loose file and its distribution's metadata say."""

import importlib.metadata
import sys
from pathlib import Path

from greetings import greet


def main() -> int:
    print(greet(sys.argv[1] if len(sys.argv) > 1 else "world"))
    print(importlib.metadata.version("strata-example-greetings"))
    # `files` keep their path in the repository, below the folder that Python imports from.
    libraries = next(p for p in sys.path if p.endswith("site-packages"))
    print((Path(libraries) / "examples/distribution/program/notes.txt").read_text().strip())
    return 0
