"""``load-image`` puts images into real engines, and moves only the layers that they lack."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Dict, Iterator, Tuple

import pytest

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import NAME, Docker, run
from end_to_end.tools import require, require_root
from strata.errors import StrataError
from strata.load.docker import load_into_docker
from strata.load.image import loadable_image
from strata.load.podman import load_into_podman

_SENT = re.compile(r"docker has (\S+): (\d+) of (\d+) layers sent")
#: Metadata of the demo has fewer bytes, and its layers have more.
_METADATA = 20_000


@pytest.fixture
def podman() -> Iterator[Dict[str, str]]:
    """The environment that selects a podman with storage of its own."""
    require("podman")
    require_root()
    # podman refuses long paths.
    with tempfile.TemporaryDirectory(prefix="strata-") as folder:
        settings = Path(folder) / "storage.conf"
        settings.write_text(
            "[storage]\n"
            'driver = "overlay"\n'
            f'graphroot = "{folder}/root"\n'
            f'runroot = "{folder}/run"\n'
        )
        selected = {"CONTAINERS_STORAGE_CONF": str(settings)}
        yield selected
        run("podman", "system", "reset", "--force", env={**os.environ, **selected})


def in_podman(selected: Dict[str, str], *arguments: str) -> str:
    return run("podman", *arguments, env={**os.environ, **selected}).strip()


def unpacked(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    run("tar", "-xf", str(archive), "-C", str(folder))
    return folder


def without_layers(layout: Path, folder: Path) -> Path:
    """A copy of ``layout`` that has metadata alone."""
    shutil.copytree(layout, folder)
    for blob in (folder / "blobs/sha256").iterdir():
        if blob.stat().st_size > _METADATA:
            blob.unlink()
    return folder


def test_docker_gets_what_it_lacks(checkout: PantsCheckout, docker: Docker) -> None:
    def load() -> Tuple[int, int]:
        result = checkout.run(
            "load-image", "--engine=docker", "app:image", environment=docker.environment
        )
        match = _SENT.search(result.output)
        assert match is not None and match[1] == NAME, result.output
        return int(match[2]), int(match[3])

    sent, layers = load()
    assert sent == layers
    assert load() == (0, layers)

    checkout.replace("app/web/application.py", "_MAX_BODY = 32 << 20", "_MAX_BODY = 34 << 20")
    sent, _ = load()
    # The layer of the edited code, and those above it.
    assert 0 < sent < layers / 3
    with docker.started() as fetch:
        assert json.loads(fetch("/healthz", None)) == {"status": "ok"}


def test_podman_gets_what_it_lacks(
    built: PantsCheckout, podman: Dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = built.run("load-image", "--engine=podman", "app:image", environment=podman)
    assert f"podman has {NAME}" in result.output
    named = in_podman(podman, "images", "--format", "{{.Repository}}:{{.Tag}}")
    assert named.splitlines() == [f"localhost/{NAME}"]
    identifier = in_podman(podman, "image", "inspect", "--format", "{{.Id}}", NAME)
    assert f"sha256:{identifier}" == built.report("app/image")["config_digest"]

    layout = unpacked(built.archive("app/image"), tmp_path / "layout")
    for name, value in podman.items():
        monkeypatch.setenv(name, value)
    # There is nothing to copy: it would fail.
    load_into_podman(loadable_image(without_layers(layout, tmp_path / "metadata"), "amd64"))
    in_podman(podman, "rmi", "--all", "--force")
    with pytest.raises(StrataError, match="podman pull failed: .*no such file"):
        load_into_podman(loadable_image(tmp_path / "metadata", "amd64"))


def test_an_engine_that_does_not_answer_is_named(
    built: PantsCheckout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("docker")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    layout = unpacked(built.archive("app/image"), tmp_path / "layout")
    with pytest.raises(StrataError, match="docker does not answer: .*none.sock"):
        load_into_docker(loadable_image(layout, "amd64"))


def test_targets_that_are_no_images(built: PantsCheckout) -> None:
    result = built.run("load-image", "app:server", check=False)
    assert result.exit_code
    assert "load-image takes layered_image targets, and none was given" in result.output
