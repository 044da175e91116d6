"""``python -m strata load-image SPEC``: puts an image into a container engine of this machine.

SPEC is a JSON file: ``layout`` (the image's files) and ``engine`` (``podman``, ``docker`` or
``auto``).
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, List

from strata.errors import StrataError
from strata.load.docker import load_into_docker
from strata.load.image import LoadableImage, Loaded, loadable_image
from strata.load.podman import load_into_podman
from strata.platforms import MACHINES

_LOADERS = {"docker": load_into_docker, "podman": load_into_podman}


def main(arguments: List[str]) -> int:
    """Raises StrataError if the engine is missing or does not take the image."""
    spec: Dict[str, Any] = json.loads(Path(arguments[0]).read_text())
    engine = found_engine(spec["engine"])
    image = loadable_image(Path(spec["layout"]), machine_architecture())
    print(_described(image, engine, load(image, engine)), file=sys.stderr)
    return 0


def found_engine(wanted: str) -> str:
    """``wanted``, or for ``auto`` the first engine that is installed.

    Raises StrataError if it is not.
    """
    if wanted == "auto":
        found = next((name for name in _LOADERS if shutil.which(name)), None)
        if found is None:
            raise StrataError(
                "neither docker nor podman is installed: install one, or `package` the image and "
                "carry its archive to where one is"
            )
        return found
    if shutil.which(wanted) is None:
        raise StrataError(f"{wanted} is not installed, and --load-image-engine names it")
    return wanted


def load(image: LoadableImage, engine: str) -> Loaded:
    return _LOADERS[engine](image)


def machine_architecture() -> str:
    """This machine's, as GOARCH."""
    machine = platform.machine()
    return next((name for name, known in MACHINES.items() if known == machine), machine)


def _described(image: LoadableImage, engine: str, loaded: Loaded) -> str:
    names = ", ".join(image.references)
    if loaded.layers is None or loaded.size is None:
        return f"{engine} has {names}"
    total = len(image.layers)
    return (
        f"{engine} has {names}: {loaded.layers} of {total} layers sent, {loaded.size / 1e6:.1f} MB"
    )
