"""Which image of a layout an engine gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Sequence

import pytest

from strata.errors import StrataError
from strata.load.image import loadable_image
from strata.oci.image import ImageSettings, build_image


def write_layout(folder: Path, architectures: Sequence[str]) -> Path:
    """A layout with an image per architecture and without layers."""
    manifests: "list[Dict[str, Any]]" = []
    docker = []
    for architecture in architectures:
        image = build_image(ImageSettings("demo", ("1", "2"), architecture), [])
        for path, content in image.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        manifests += json.loads(image.files["index.json"])["manifests"]
        docker += json.loads(image.files["manifest.json"])
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    (folder / "manifest.json").write_text(json.dumps(docker))
    return folder


def test_the_only_image_is_taken_whatever_it_is_for(tmp_path: Path) -> None:
    image = loadable_image(write_layout(tmp_path, ["riscv64"]), "amd64")
    assert image.references == ("demo:1", "demo:2")
    assert json.loads(image.docker_manifest)[0]["RepoTags"] == ["demo:1", "demo:2"]


def test_this_machines_image_is_taken(tmp_path: Path) -> None:
    layout = write_layout(tmp_path, ["amd64", "arm64"])
    image = loadable_image(layout, "arm64")
    assert json.loads((layout / image.config).read_text())["architecture"] == "arm64"
    manifest = layout / "blobs" / image.manifest_descriptor["digest"].replace(":", "/")
    assert json.loads(manifest.read_text())["config"]["digest"].endswith(Path(image.config).name)


def test_no_image_for_this_machine(tmp_path: Path) -> None:
    layout = write_layout(tmp_path, ["amd64", "arm64"])
    with pytest.raises(StrataError, match="nothing for this machine's architecture, s390x"):
        loadable_image(layout, "s390x")
