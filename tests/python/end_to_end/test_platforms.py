"""Images for several platforms, built without emulation, read and run by real tools."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping

import pytest

from end_to_end.emulation import emulated
from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import NAME, Docker, Podman, free_port, over_http, run, wait_for
from end_to_end.tools import require, require_root
from registries.clients import client, repository
from registries.server import DockerRegistry
from strata.platforms import MACHINES
from strata.registry.layout import Layout
from strata.registry.push import push_layout

_MULTI = "strata-demo-multi:latest"


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    checkout = PantsCheckout(tmp_path_factory.mktemp("multi") / "checkout", daemon=True)
    checkout.run("package", "app:image", "app:image-multi")
    yield checkout
    checkout.stop()


@pytest.fixture(scope="module")
def archive(multi: PantsCheckout) -> Path:
    return multi.archive("app/image-multi")


@pytest.fixture(scope="module")
def streamed(multi: PantsCheckout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `run` writes, named as the image that tests of runtimes know."""
    path = tmp_path_factory.mktemp("streamed") / "image.tar"
    path.write_bytes(multi.stream("run", "app:image-multi", "--", f"--repo-tag={NAME}"))
    return path


def layers(report: Mapping[str, Any]) -> Dict[str, str]:
    """Members to digest."""
    return {
        " ".join(member["name"] for member in layer["members"]): layer["digest"]
        for layer in report["layers"]
    }


def test_each_image_is_what_it_would_be_alone(multi: PantsCheckout) -> None:
    alone = multi.report("app/image")
    report = multi.report("app/image-multi")
    assert list(report["platforms"]) == ["amd64", "arm64"]
    assert report["references"] == [_MULTI]
    assert report["platforms"]["amd64"]["digest"] == alone["digest"]
    arm64 = report["platforms"]["arm64"]
    assert arm64["platform"] == {"architecture": "arm64", "os": "linux"}


def test_equal_layers_are_one(multi: PantsCheckout) -> None:
    """The service's own code has bytecode, and is one blob; what is compiled for a machine not."""
    platforms = multi.report("app/image-multi")["platforms"]
    amd64, arm64 = layers(platforms["amd64"]), layers(platforms["arm64"])
    assert amd64.keys() == arm64.keys()
    shared = {name for name in amd64 if amd64[name] == arm64[name]}
    assert any("source:web" in name for name in shared), shared
    assert not any("python:numpy" in name or "debian:libc6" in name for name in shared)


def test_pure_wheels_in_a_layer_of_their_own_are_one(multi: PantsCheckout) -> None:
    """Also shows that each layer that both have is one process, and one cache entry."""
    text = (multi.root / "app/BUILD").read_text()
    start = text.index('layered_image(\n    name="image-multi"')
    target = text[start:].replace("image-multi", "image-pure")
    group = 'layer_groups={"pure": ["python:flask", "python:jinja2", "python:werkzeug"]},'
    # No layer that this machine's cache knows of.
    mtime = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    target = target.replace("architectures=", f"mtime='{mtime}', {group} architectures=")
    multi.write("app/BUILD", f"{text}\n{target}")
    result = multi.run("package", "app:image-pure")
    platforms = multi.report("app/image-pure")["platforms"]
    amd64, arm64 = layers(platforms["amd64"]), layers(platforms["arm64"])
    name = "python:flask python:jinja2 python:werkzeug"
    assert amd64[name] == arm64[name]
    for first in ("Layer of python:flask", "Layer of source:"):
        ran = [item for item in result.layer_processes if item.startswith(first)]
        assert len(ran) == 1, result.layer_processes


def test_arm64_runs_under_an_emulator(archive: Path, tmp_path: Path) -> None:
    """The service answers, with NumPy and Pillow at work; nobody compiles anything for it."""
    require("skopeo", "umoci", "qemu-aarch64-static")
    require_root()
    layout = tmp_path / "layout"
    run(
        "skopeo",
        "copy",
        "--override-arch=arm64",
        f"oci-archive:{archive}:latest",
        f"oci:{layout}:x",
    )
    run("umoci", "unpack", "--image", f"{layout}:x", str(tmp_path / "bundle"))
    root = tmp_path / "bundle/rootfs"
    process = json.loads((tmp_path / "bundle/config.json").read_text())["process"]
    (program,) = process["args"]
    # What the kernel makes of the program's first line, which it cannot do for the emulator.
    interpreter = (root / program.lstrip("/")).read_text().splitlines()[0][2:]
    shutil.copy2(shutil.which("qemu-aarch64-static") or "", root / "emulator")
    port = free_port()
    service = subprocess.Popen(
        ["chroot", "--userspec=1000:1000", str(root), "/emulator", interpreter, "-v", program],
        env={**dict(item.split("=", 1) for item in process["env"]), "PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "stderr").open("wb"),
    )
    try:
        fetch = over_http(port)
        wait_for(fetch, service)
        picture = b"P6 2 1 255 " + bytes([255, 0, 0, 0, 0, 255])
        statistics = json.loads(fetch("/v1/statistics", picture))
        assert (statistics["width"], statistics["height"]) == (2, 1)
    finally:
        service.send_signal(signal.SIGTERM)
        code = service.wait(timeout=60)
    assert code == 0
    words = (tmp_path / "stderr").read_text(errors="replace").splitlines()
    # `-v` tells where each module comes from: bytecode made by an interpreter of another machine.
    # Debian's own modules have none in any image.
    read = [line for line in words if line.startswith("# code object from") and "/opt/" in line]
    assert any("numpy/__pycache__/__init__.cpython-311.pyc" in line for line in read)
    compiled = [line for line in read if ".pyc" not in line]
    assert not compiled, compiled[:5]


def test_podman_takes_this_machines(multi: PantsCheckout, streamed: Path, podman: Podman) -> None:
    platforms = multi.report("app/image-multi")["platforms"]
    machine = {name: platform for platform, name in MACHINES.items()}[os.uname().machine]
    assert f"sha256:{podman.load(streamed)}" == platforms[machine]["config_digest"]
    with podman.started() as fetch:
        assert json.loads(fetch("/healthz", None)) == {"status": "ok"}


def test_docker_takes_the_first_by_name_and_all_by_platform(streamed: Path, docker: Docker) -> None:
    docker.load(streamed)
    client = [*docker.client, "image", "inspect"]
    found = {
        name: run(*client, "--format={{.Architecture}}", name).strip()
        for name in (NAME, f"{NAME}-amd64", f"{NAME}-arm64")
    }
    assert found == {NAME: "amd64", f"{NAME}-amd64": "amd64", f"{NAME}-arm64": "arm64"}
    with docker.started() as fetch:
        assert json.loads(fetch("/healthz", None)) == {"status": "ok"}


def test_skopeo_copies_all_or_one(multi: PantsCheckout, archive: Path, tmp_path: Path) -> None:
    require("skopeo", "umoci")
    report = multi.report("app/image-multi")
    source = f"oci-archive:{archive}:latest"
    raw = run("skopeo", "inspect", "--raw", source)
    offered = {item["platform"]["architecture"]: item for item in json.loads(raw)["manifests"]}
    run("skopeo", "copy", "--all", "--preserve-digests", source, f"oci:{tmp_path}/all:x")
    index = json.loads((tmp_path / "all/index.json").read_text())
    assert index["manifests"][0]["digest"] == report["digest"]
    for platform in ("amd64", "arm64"):
        one = f"{tmp_path}/{platform}"
        run("skopeo", "copy", f"--override-arch={platform}", source, f"oci:{one}:x")
        assert offered[platform]["digest"] == report["platforms"][platform]["digest"]
        run("umoci", "stat", "--image", f"{one}:x")
    # umoci knows images for one platform only, and says so.
    layout = tmp_path / "layout"
    layout.mkdir()
    run("tar", "-xf", str(archive), "-C", str(layout))
    refused = subprocess.run(
        ["umoci", "stat", "--image", f"{layout}:latest"], capture_output=True, check=False
    )
    assert b"ambiguous" in refused.stderr


def test_a_registry_has_all_and_gives_each_their_own(
    multi: PantsCheckout, archive: Path, tmp_path: Path
) -> None:
    require("skopeo")
    report = multi.report("app/image-multi")
    layout = tmp_path / "layout"
    layout.mkdir()
    run("tar", "-xf", str(archive), "-C", str(layout))
    with DockerRegistry(tmp_path / "registry") as registry, client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        result = push_layout(Layout(layout), target, ["latest"])
        assert result.digest == report["digest"]
        distinct = {
            layer["digest"] for image in report["platforms"].values() for layer in image["layers"]
        }
        # Configurations are blobs, too.
        assert len(result.outcomes) == len(distinct) + len(report["platforms"])
        name = f"docker://{registry.host}/app:latest"
        for platform, image in report["platforms"].items():
            asked = ["skopeo", "inspect", "--tls-verify=false", f"--override-arch={platform}"]
            found = json.loads(run(*asked, name))
            assert found["Architecture"] == platform
            assert found["Layers"] == [layer["digest"] for layer in image["layers"]]


def test_goals_know_platforms(multi: PantsCheckout) -> None:
    table = multi.run("layers", "app:image-multi", "app:image").output
    assert "app:image-multi (amd64)  strata-demo-multi:latest" in table
    assert "app:image-multi (arm64)  strata-demo-multi:latest" in table
    described = json.loads(multi.stream("layers", "--format=json", "app:image-multi"))
    (sources,) = [
        layer
        for layer in described["app:image-multi (arm64)"]["layers"]
        if any(member["name"] == "source:web" for member in layer["members"])
    ]
    assert sources["shared_with"] == ["app:image", "app:image-multi (amd64)"]
    assert sources["changed"] is False
    multi.write("r/BUILD", _RUNS)
    assert "usage: batch FILE" in multi.run("run-image", "r:image", check=False).output


_RUNS = """
layered_image(
    name="image", architectures=["arm64", "amd64"], contents=["app:batch", "app:os"],
    config={"Entrypoint": ["//app:batch"]},
)
"""
_DERIVED = """
layered_image(name="one", image_name="one", tags=["1"], contents=["app:tmp"])
layered_image(name="two", image_name="two", architecture="arm64", contents=["app:tmp"])
image_index(name="index", image_name="both", tags=["1", "2"], images=[":one", ":two"])
layered_image(
    name="above", tags=["1"], base=":index", architectures=["arm64", "amd64"],
    contents=["app:users"],
)
merged_images(name="merged", images=[":index", ":above"])
image_root(name="root", image=":index", architecture="arm64")
"""


def test_index_as_base_in_archives_and_as_root(multi: PantsCheckout, tmp_path: Path) -> None:
    multi.write("p/BUILD", _DERIVED)
    multi.run("package", "p:index", "p:above", "p:merged", "p:root", "p:one")
    index, above = multi.report("p/index"), multi.report("p/above")
    assert index["references"] == ["both:1", "both:2"]
    assert index["platforms"]["amd64"]["digest"] == multi.report("p/one")["digest"]
    assert list(above["platforms"]) == ["arm64", "amd64"]
    for platform in ("amd64", "arm64"):
        below = [layer["digest"] for layer in index["platforms"][platform]["layers"]]
        assert [layer["digest"] for layer in above["platforms"][platform]["layers"]][:1] == below
    run("tar", "-xf", str(multi.archive("p/merged")), "-C", str(tmp_path))
    names = [
        item["annotations"]["io.containerd.image.name"]
        for item in json.loads((tmp_path / "index.json").read_text())["manifests"]
    ]
    assert names == ["both:1", "both:2", "above:1"]
    rows: List[Dict[str, Any]] = json.loads((tmp_path / "manifest.json").read_text())
    assert [row["RepoTags"] for row in rows] == [
        ["both:1", "both:2", "both:1-amd64", "both:2-amd64"],
        ["both:1-arm64", "both:2-arm64"],
        ["above:1", "above:1-arm64"],
        ["above:1-amd64"],
    ]
    assert "tmp" in run("tar", "-tf", str(multi.archive("p/root")))


_COMMANDS = """
layered_image(
    name="image",
    architecture="arm64",
    contents=["examples/commands:os"],
    fakeroot_chroot=True,
    fakeroot_commands="uname -m > /machine; install -d -m 2770 /var/lib/demo # {time}",
)
"""


def test_commands_run_where_the_machine_runs_their_programs(
    checkout: PantsCheckout, tmp_path: Path
) -> None:
    """The kernel of this test knows of an emulator, which no other process sees."""
    require("qemu-aarch64-static", "unshare")
    require_root()
    # The first build must not find what an earlier test run left in the cache.
    checkout.write("p/BUILD", _COMMANDS.format(time=time.time_ns()))
    refused = checkout.run("package", "p:image", check=False)
    assert refused.exit_code
    assert "`fakeroot_commands` of p:image: the image is for arm64" in refused.output
    assert "qemu-user-static" in refused.output
    with emulated("aarch64") as prefix:
        checkout.run("package", "p:image", prefix=prefix)
    report = checkout.report("p/image")
    run("tar", "-xf", str(checkout.archive("p/image")), "-C", str(tmp_path))
    top = tmp_path / "blobs" / report["layers"][-1]["digest"].replace(":", "/")
    assert run("tar", "-xOf", str(top), "machine").strip() == "aarch64"
    assert "drwxrws---" in run("tar", "-tvf", str(top))
