"""What a container engine takes of an image layout with a docker ``manifest.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from strata.errors import StrataError
from strata.platforms import Platform, best_matches

#: What containerd names images by in a layout.
_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class LoadableImage:
    """``config`` and ``layers`` (the bottom one first) are paths in the folder ``layout``;
    ``references`` are all the image's names with their tags."""

    layout: Path
    config: str
    layers: Tuple[str, ...]
    references: Tuple[str, ...]

    @property
    def docker_manifest(self) -> bytes:
        """``manifest.json`` of this image alone (Docker image specification v1.2)."""
        entry = {"Config": self.config, "RepoTags": self.references, "Layers": self.layers}
        return json.dumps([entry]).encode()

    @property
    def manifest_descriptor(self) -> Dict[str, Any]:
        """The descriptor of the manifest that has this configuration, without annotations."""
        index = json.loads((self.layout / "index.json").read_text())
        for descriptor in _manifests(self.layout, index):
            manifest = json.loads(_blob(self.layout, descriptor).read_text())
            if _blob(self.layout, manifest["config"]) == self.layout / self.config:
                return {key: descriptor[key] for key in ("mediaType", "digest", "size")}
        raise StrataError(f"the layout has no manifest for its configuration {self.config}")


@dataclass(frozen=True)
class Loaded:
    """What loading took: ``layers`` and ``size`` (in bytes) of what was moved, or None where the
    engine does not tell."""

    layers: "int | None"
    size: "int | None"


def loadable_image(layout: Path, architecture: str) -> LoadableImage:
    """The image of ``layout`` for ``architecture`` (a GOARCH), or its only one.

    Raises StrataError if there are several, and none for that architecture.
    """
    entries: List[Dict[str, Any]] = json.loads((layout / "manifest.json").read_text())
    fitting = entries if len(entries) == 1 else _for_architecture(layout, entries, architecture)
    if not fitting:
        raise StrataError(f"the image has nothing for this machine's architecture, {architecture}")
    entry = fitting[0]
    index = json.loads((layout / "index.json").read_text())
    # In the docker manifest images have names of their platforms besides.
    references = dict.fromkeys(item["annotations"][_NAME] for item in index["manifests"])
    return LoadableImage(layout, entry["Config"], tuple(entry["Layers"]), tuple(references))


def _for_architecture(
    layout: Path, entries: List[Dict[str, Any]], architecture: str
) -> List[Dict[str, Any]]:
    offered = [
        {"platform": json.loads((layout / entry["Config"]).read_text()), "entry": entry}
        for entry in entries
    ]
    return [item["entry"] for item in best_matches(offered, Platform(architecture))]


def _manifests(layout: Path, index: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The descriptors of all image manifests below ``index``, through nested indexes."""
    found: List[Dict[str, Any]] = []
    for descriptor in index["manifests"]:
        content = json.loads(_blob(layout, descriptor).read_text())
        found += _manifests(layout, content) if "manifests" in content else [descriptor]
    return found


def _blob(layout: Path, descriptor: Dict[str, Any]) -> Path:
    return layout / "blobs" / str(descriptor["digest"]).replace(":", "/", 1)
