"""Prints the statistics of image files as JSON lines: ``batch FILE…``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import List, Optional

from common.errors import ImageError
from common.settings import Settings
from imaging.loading import load_image
from imaging.statistics import statistics


def main(arguments: Optional[List[str]] = None) -> int:
    """Exit code 1 if any file could not be read; the others are printed all the same."""
    paths = sys.argv[1:] if arguments is None else arguments
    if not paths:
        print("usage: batch FILE...", file=sys.stderr)
        return 2
    settings = Settings.from_environment()
    failed = False
    for path in paths:
        try:
            image = load_image(Path(path).read_bytes(), settings.max_pixels)
        except (ImageError, OSError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = True
            continue
        print(json.dumps({"path": path, **statistics(image).to_json()}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
