"""``publish`` of images for several platforms: an index in a real registry, and from there the
image of the right machine into container engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List
from urllib.parse import unquote

import pytest

from end_to_end.pants_checkout import PantsCheckout, PantsResult
from end_to_end.runtimes import Docker, Podman, digest_in, run
from end_to_end.tools import require
from registries.fault_proxy import FaultProxy
from registries.layouts import noise
from registries.server import DockerRegistry

_BUILD = """
files(name="data", sources=["*.txt"])
files(name="amd64-data", sources=["amd64/*"])
files(name="arm64-data", sources=["arm64/*"])

layered_image(
    name="multi",
    tags=["1.0", "latest"],
    architectures=["amd64", "arm64"],
    contents=[":data"],
    formats=["oci"],
    annotations={"org.opencontainers.image.title": "{name}"},
)

layered_image(name="amd64", contents=[":data", ":amd64-data"], formats=["oci"], registries=[])
layered_image(
    name="arm64",
    architecture="arm64",
    contents=[":data", ":arm64-data"],
    formats=["oci"],
    registries=[],
)
image_index(
    name="index",
    image_name="of/several",
    tags=["2.0"],
    images=[":amd64", ":arm64"],
    formats=["oci"],
    repositories=["team/{name}"],
)
"""
_OPTIONS = """
[layered-images.registries.main]
address = "{main}"
default = true
plain_http = true
extra_image_tags = ["x-{{name}}"]
"""
_REPOSITORIES = {"multi": "multi", "index": "team/index"}
_TAGS = {"multi": "1.0", "index": "2.0"}


class Published:
    """A checkout with two images of several platforms, and a registry seen through ``proxy``."""

    def __init__(self, folder: Path, registry: DockerRegistry) -> None:
        self.registry = registry
        self.proxy = FaultProxy(registry.host)
        self.checkout = PantsCheckout(folder / "checkout", daemon=True)
        self.checkout.write("several/BUILD", _BUILD)
        self.checkout.write("several/shared.txt", noise(400_000, "shared").hex())
        for machine in ("amd64", "arm64"):
            self.checkout.write(f"several/{machine}/own.txt", noise(10_000, machine).hex())
        text = (self.checkout.root / "pants.toml").read_text()
        self.checkout.write("pants.toml", text + _OPTIONS.format(main=self.proxy.host))
        # On a busy machine Pants does not wait long enough for its daemon the first time.
        self.checkout.run("roots", check=False)

    def publish(self, *arguments: str) -> PantsResult:
        # Publishing alone writes no reports.
        return self.checkout.run("package", "publish", *arguments)

    def report(self, name: str) -> Dict[str, Any]:
        return self.checkout.report(f"several/{name}")

    def reference(self, name: str) -> str:
        return f"{self.registry.host}/{_REPOSITORIES[name]}:{_TAGS[name]}"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("publish")
    with DockerRegistry(folder / "registry") as registry:
        made = Published(folder, registry)
        try:
            with made.proxy:
                made.publish("--publish-output=out.json", "several:multi", "several:index")
                yield made
        finally:
            made.checkout.stop()


def inspected(reference: str) -> Dict[str, Any]:
    data: Dict[str, Any] = json.loads(
        run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    )
    return data


def test_each_blob_is_sent_once(published: Published) -> None:
    """Also those that both images of an index have, and both indexes."""
    uploads = published.proxy.requests("^PUT .*/uploads/")
    sent = [unquote(exchange.query.rpartition("digest=")[2]) for exchange in uploads]
    images = [
        image
        for name in ("multi", "index")
        for image in published.report(name)["platforms"].values()
    ]
    layers = [layer["digest"] for image in images for layer in image["layers"]]
    assert len(set(layers)) < len(layers)
    assert sorted(sent) == sorted({*layers, *(image["config_digest"] for image in images)})
    # Images before their index, tags last.
    for name in ("multi", "index"):
        report = published.report(name)
        puts = published.proxy.requests(f"^PUT /v2/{_REPOSITORIES[name]}/manifests/")
        names = [exchange.path.rpartition("/")[2] for exchange in puts]
        inside = [image["digest"] for image in report["platforms"].values()]
        assert names[:3] == [*inside, report["digest"]]
        assert names[3:] and not [item for item in names[3:] if item.startswith("sha256:")]


def test_digests_agree_everywhere(published: Published) -> None:
    require("skopeo")
    output: List[Dict[str, Any]] = json.loads((published.checkout.root / "out.json").read_text())
    for name, tags in (("multi", ["1.0", "latest", "x-multi"]), ("index", ["2.0", "x-index"])):
        report = published.report(name)
        (pushed,) = [item for item in output if item["target"] == f"several:{name}"]
        repository = f"{published.proxy.host}/{_REPOSITORIES[name]}"
        assert pushed["digest"] == report["digest"] and pushed["published"] is True
        assert pushed["repository"] == repository
        assert pushed["reference"] == f"{repository}@{report['digest']}"
        assert pushed["names"] == [f"{repository}:{tag}" for tag in tags]
        raw = inspected(published.reference(name))
        assert [item["platform"]["architecture"] for item in raw["manifests"]] == ["amd64", "arm64"]
        for item in raw["manifests"]:
            image = report["platforms"][item["platform"]["architecture"]]
            assert item["digest"] == image["digest"]
            host, _, path = published.reference(name).partition("/")
            manifest = inspected(f"{host}/{path.partition(':')[0]}@{item['digest']}")
            assert manifest["config"]["digest"] == image["config_digest"]
            found = [layer["digest"] for layer in manifest["layers"]]
            assert found == [layer["digest"] for layer in image["layers"]]
        command = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
        assert run(*command, f"docker://{published.reference(name)}").strip() == report["digest"]
    title = {"org.opencontainers.image.title": "multi"}
    assert inspected(published.reference("multi"))["annotations"] == title


def test_podman_pulls_the_image_of_the_machine_that_it_is_asked_for(
    published: Published, podman: Podman
) -> None:
    for name in ("multi", "index"):
        report = published.report(name)
        for machine in ("amd64", "arm64"):
            reference = published.reference(name)
            run(
                *podman.command,
                *("pull", "--tls-verify=false", f"--arch={machine}", reference),
            )
            found = json.loads(run(*podman.command, "image", "inspect", reference))[0]
            image = report["platforms"][machine]
            assert found["Architecture"] == machine
            assert f"sha256:{found['Id']}" == image["config_digest"]
            digests = {digest_in(item) for item in found["RepoDigests"]}
            assert digests == {report["digest"], image["digest"]}


def test_docker_pulls_the_image_of_the_machine_that_it_is_asked_for(
    published: Published, docker: Docker
) -> None:
    for name in ("multi", "index"):
        report, reference = published.report(name), published.reference(name)
        for machine in ("amd64", "arm64"):
            run(*docker.client, "pull", f"--platform=linux/{machine}", reference)
            found = json.loads(run(*docker.client, "image", "inspect", reference))[0]
            assert found["Architecture"] == machine
            assert found["Id"] == report["platforms"][machine]["config_digest"]
            assert {digest_in(item) for item in found["RepoDigests"]} == {report["digest"]}
            # Docker keeps one image for the digest of an index.
            run(*docker.client, "image", "rm", reference)


def test_a_second_publish_asks_and_sends_nothing(published: Published) -> None:
    published.proxy.forget()
    result = published.publish("several:multi", "several:index")
    assert {exchange.method for exchange in published.proxy.exchanges} == {"HEAD"}
    assert "0 blobs uploaded" in result.output


def test_a_changed_image_is_sent_alone(published: Published) -> None:
    """The other one of the index, and what both share, stay where they are."""
    before = published.report("index")
    published.checkout.write("several/arm64/own.txt", "changed\n")
    published.proxy.forget()
    published.publish("several:index")
    after = published.report("index")
    old, new = before["platforms"], after["platforms"]
    assert old["amd64"]["digest"] == new["amd64"]["digest"]
    known = {layer["digest"] for layer in old["arm64"]["layers"]}
    fresh = {layer["digest"] for layer in new["arm64"]["layers"]} - known
    uploads = published.proxy.requests("^PUT .*/uploads/")
    sent = {unquote(exchange.query.rpartition("digest=")[2]) for exchange in uploads}
    assert sent == {*fresh, new["arm64"]["config_digest"]}
    assert (
        inspected(published.reference("index"))["manifests"][1]["digest"]
        == (new["arm64"]["digest"])
    )
