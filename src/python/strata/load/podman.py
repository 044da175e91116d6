"""Loads an image into podman, without the layers that it has.

``podman pull`` of an OCI image layout opens no blob that podman's storage holds already, where
``podman load`` unpacks all of them. It names the image after the layout's folder, so the image gets
its own names afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Optional, Sequence

from strata.errors import StrataError
from strata.load.image import LoadableImage, Loaded


def load_into_podman(image: LoadableImage, client: Sequence[str] = ("podman",)) -> Loaded:
    """Raises StrataError with podman's message if it does not take the image."""
    # What podman makes a name of: nobody else uses it, and it has no letter that names must not.
    name = f"strata-load-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="strata-load-") as scratch:
        _write_layout(image, Path(scratch) / name)
        pulled = _podman(client, "pull", "--quiet", f"oci:{name}", folder=scratch)
    identifier = pulled.split()[-1]
    _podman(client, "tag", identifier, *image.references)
    _podman(client, "untag", identifier, f"localhost/{name}")
    return Loaded(None, None)


def _write_layout(image: LoadableImage, folder: Path) -> None:
    """A layout of this image alone and without names, whose blobs are those of ``image``."""
    folder.mkdir()
    index = {"schemaVersion": 2, "manifests": [image.manifest_descriptor]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_bytes((image.layout / "oci-layout").read_bytes())
    (folder / "blobs").symlink_to((image.layout / "blobs").absolute())


def _podman(client: Sequence[str], *arguments: str, folder: Optional[str] = None) -> str:
    process = subprocess.run(
        [*client, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if process.returncode:
        message = process.stderr.decode(errors="replace").strip()
        raise StrataError(f"{' '.join([*client, arguments[0]])} failed: {message}")
    return process.stdout.decode(errors="replace")
