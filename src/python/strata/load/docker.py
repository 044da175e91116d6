"""Loads an image into a Docker engine, without the layers that it has.

A Docker engine that keeps layers in its own store opens a layer's file only if it has no layer of
that chain ID (OCI image specification, "Layer ChainID"). So it is offered the configuration alone
first; its error names the first layer that it lacks, and what is sent next starts there. An engine
that keeps images in containerd's store wants every layer in the archive.
"""

from __future__ import annotations

import subprocess
from typing import Dict, List, Sequence, Tuple

from strata.archive.compression import Compression
from strata.archive.entry import Content, FileRange
from strata.archive.members import Compressed, write_members
from strata.errors import StrataError
from strata.load.image import LoadableImage, Loaded

_CONTAINERD_STORE = "io.containerd.snapshotter"


def load_into_docker(image: LoadableImage, client: Sequence[str] = ("docker",)) -> Loaded:
    """``client`` is the command that talks to the engine.

    Raises StrataError with the engine's message if it does not take the image.
    """
    first = 0 if _keeps_images_in_containerd(client) else len(image.layers)
    sent: Dict[str, int] = {}
    while True:
        error = _offer(image, first, client, sent)
        if not error:
            return Loaded(len(sent), sum(sent.values()))
        if not first:
            raise StrataError(f"{client[0]} does not load the image: {error}")
        first = _first_missing(image.layers[:first], error)


def _keeps_images_in_containerd(client: Sequence[str]) -> bool:
    asked = subprocess.run(
        [*client, "info", "--format", "{{json .DriverStatus}}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if asked.returncode:
        message = asked.stderr.decode(errors="replace").strip()
        raise StrataError(f"{client[0]} does not answer: {message}")
    return _CONTAINERD_STORE in asked.stdout.decode(errors="replace")


def _first_missing(layers: Sequence[str], error: str) -> int:
    """Where in ``layers`` the one lies that ``error`` names; 0 if it names none."""
    return next((index for index, path in enumerate(layers) if path in error), 0)


def _offer(image: LoadableImage, first: int, client: Sequence[str], sent: Dict[str, int]) -> str:
    """The engine's error, or nothing, for an archive that has the layers from ``first`` on.

    Notes the sizes of those layers in ``sent``, whatever becomes of the offer.
    """
    members = _members(image, first)
    process = subprocess.Popen(
        [*client, "load", "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None
    try:
        write_members(members, Compressed(process.stdin, Compression.NONE))
        process.stdin.close()
    except BrokenPipeError:
        # The engine has seen enough; its exit code and message say why.
        pass
    for path, content in members[2:]:
        assert isinstance(content, FileRange)
        sent[path] = content.size
    message = process.stderr.read().decode(errors="replace").strip()
    if process.wait():
        return message or f"exit code {process.returncode}"
    return ""


def _members(image: LoadableImage, first: int) -> List[Tuple[str, Content]]:
    files = [image.config, *dict.fromkeys(image.layers[first:])]
    return [
        ("manifest.json", image.docker_manifest),
        *((path, _content(image, path)) for path in files),
    ]


def _content(image: LoadableImage, path: str) -> FileRange:
    file = image.layout / path
    return FileRange(file, file.stat().st_size)
