"""Bases from a real registry: locked, planned without their layers, and fetched once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator, List

import pytest

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import run
from end_to_end.tools import require
from registries.fault_proxy import Fault, FaultProxy
from registries.server import DockerRegistry

_BUILD = """
image_base(name="base", repository="@local/platform", tag="stable", lock="base.lock")

layered_image(
    name="image",
    base=":base",
    contents=["app:batch"],
    interpreter="/usr/bin/python3.11 3.11.2",
    config={"Entrypoint": ["//app:batch"], "Env": {"TEAM": "batch"}},
)
"""


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FaultProxy]:
    require("skopeo")
    with DockerRegistry(tmp_path / "registry") as registry, FaultProxy(registry.host) as started:
        yield started


@pytest.fixture
def service(tmp_path: Path, proxy: FaultProxy) -> Iterator[PantsCheckout]:
    """A checkout with a service on a base that is in the registry behind ``proxy``."""
    checkout = PantsCheckout(tmp_path / "checkout", daemon=True)
    checkout.run("package", "examples/base:platform")
    archive = checkout.archive("examples.base/platform")
    target = f"docker://{proxy.host}/team/platform:stable"
    run(
        "skopeo",
        "copy",
        "--insecure-policy",
        "--dest-tls-verify=false",
        f"oci-archive:{archive}",
        target,
    )
    registries = f'{{"local": {{"address": "{proxy.host}/team", "plain_http": True}}}}'
    settings = (checkout.root / "pants.toml").read_text()
    checkout.write("pants.toml", f"{settings}\n[layered-images]\nregistries = '''{registries}'''\n")
    checkout.write("service/BUILD", _BUILD)
    yield checkout
    checkout.stop()


def fetched(proxy: FaultProxy, layers: List[str]) -> List[str]:
    """The layers that were asked for since the last time, in order."""
    asked = [e.path.rpartition("/")[2] for e in proxy.exchanges if e.method == "GET"]
    proxy.exchanges.clear()
    return [digest for digest in asked if digest in layers]


def test_a_base_is_locked_planned_and_fetched_once(
    service: PantsCheckout, proxy: FaultProxy, tmp_path: Path
) -> None:
    platform = service.report("examples.base/platform")
    below = [layer["digest"] for layer in platform["layers"]]

    refused = service.run("package", "service:image", check=False)
    assert "`lock` of service:base: there is no lock file at service/base.lock" in refused.output
    assert "pants generate-lockfiles --resolve=service:base" in refused.output
    service.run("generate-lockfiles", "--resolve=service:base")
    lock = (service.root / "service/base.lock").read_text()
    assert platform["digest"] in lock and platform["config_digest"] in lock

    # A lock is made without a byte of a layer.
    assert fetched(proxy, below) == []

    # One download is cut, and goes on where it was.
    proxy.faults.append(Fault(f"GET .*{below[0]}", cut_response_at=5_000))
    service.run("package", "service:image")
    once = fetched(proxy, below)
    assert sorted(set(once)) == sorted(below) and len(once) == len(below) + 1
    report = service.report("service/image")
    assert [layer["digest"] for layer in report["layers"]][: len(below)] == below
    # Copying reads every layer and checks its digest.
    archive = service.archive("service/image")
    run("skopeo", "copy", "--insecure-policy", f"oci-archive:{archive}", f"dir:{tmp_path}/copy")
    config = json.loads(run("skopeo", "inspect", "--config", f"oci-archive:{archive}"))
    assert {"TEAM=batch", "LANG=C.UTF-8"} <= set(config["config"]["Env"])
    assert config["config"]["User"] == "1000:1000"

    # A digest needs no lock, and its layers are there already.
    service.replace(
        "service/BUILD", 'tag="stable", lock="base.lock"', f'digest="{platform["digest"]}"'
    )
    service.run("package", "service:image")
    assert fetched(proxy, below) == []
    assert service.report("service/image")["digest"] == report["digest"]


def test_errors_of_bases_name_target_field_and_way_out(
    service: PantsCheckout, proxy: FaultProxy
) -> None:
    def refused(build: str, *goal: str) -> str:
        service.write("service/BUILD", build)
        result = service.run(*(goal or ("package", "service:image")), check=False)
        assert result.exit_code
        return result.output

    lock = ("generate-lockfiles", "--resolve=service:base")
    without_lock = _BUILD.replace(', lock="base.lock"', "")
    output = refused(without_lock)
    assert "service:base" in output and "name a `lock` file" in output
    output = refused(_BUILD.replace('tag="stable"', 'tag="stable", digest="sha256:1"'))
    assert "The `digest` field in target service:base is invalid" in output
    output = refused(_BUILD.replace("@local", "@nowhere"), *lock)
    assert "`repository` of service:base: there is no registry @nowhere" in output
    output = refused(_BUILD.replace('tag="stable"', 'tag="gone"'), *lock)
    assert "`tag` of service:base" in output and "gone" in output

    service.write("service/BUILD", _BUILD)
    service.run(*lock)
    output = refused(_BUILD.replace('tag="stable"', 'tag="other"'))
    assert "service/base.lock is out of date: it was made for the tag 'stable'" in output
    output = refused(_BUILD.replace("base=", 'architecture="arm64", base='))
    assert "`base` of service:image" in output and "arm64" in output
    # Bytes that are not what the lock says are not used.
    proxy.faults.append(Fault("GET .*/blobs/", times=100, damage=True))
    output = refused(_BUILD)
    assert "its bytes have the digest" in output or "its digest is" in output
