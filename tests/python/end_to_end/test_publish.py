"""``publish``: from BUILD files into real registries, and from there into container engines."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List
from urllib.parse import unquote

import pytest

from end_to_end.pants_checkout import PantsCheckout, PantsResult
from end_to_end.runtimes import Docker, Podman, run
from end_to_end.tools import require
from registries.fault_proxy import FaultProxy
from registries.layouts import noise
from registries.server import PASSWORD, USER, DockerRegistry

_SHARED = "".join(f'        "shared:data{number}",\n' for number in range(9))
# Small files would share a layer otherwise.
_GROUPS = "layer_groups={" + ", ".join(f'"s{n}": ["file:shared/{n}.txt"]' for n in range(9)) + "}"
_BUILD = f"""
files(name="data", sources=["*.txt"])

layered_image(
    name="image",
    image_name="Team/Small",
    tags=["1.0", "latest"],
    contents=[
        ":data",
{_SHARED}    ],
    {_GROUPS},
    repositories=["{{directory}}/{{name}}", "@guarded/elsewhere"],
    registries=["@main", "@unused"],
    formats=["oci"],
)

layered_image(name="on-top", base=":image", contents=[":more"], formats=["oci"])
files(name="more", sources=["more/*"])

layered_image(name="skipped", contents=[":data"], skip_push=True, formats=["oci"])
layered_image(name="nowhere", contents=[":data"], registries=[], formats=["oci"])
"""
_OPTIONS = """
[layered-images.registries.main]
address = "{main}"
default = true
plain_http = true
extra_image_tags = ["{{directory}}-{{pants.hash}}"]

[layered-images.registries.guarded]
address = "{guarded}"
plain_http = true
repository = "never/asked"

[layered-images.registries.unused]
address = "unused.example"
skip_push = true
"""


class Published:
    """A checkout whose default registry is ``registry``, seen through ``proxy``."""

    def __init__(self, folder: Path, registry: DockerRegistry, guarded: DockerRegistry) -> None:
        self.registry = registry
        self.guarded = guarded
        self.proxy = FaultProxy(registry.host)
        self.checkout = PantsCheckout(folder / "checkout", daemon=True)
        for number in range(9):
            self.checkout.write(f"shared/{number}.txt", noise(50_000, f"shared {number}").hex())
        targets = [f'files(name="data{n}", sources=["{n}.txt"])\n' for n in range(9)]
        self.checkout.write("shared/BUILD", "".join(targets))
        self.checkout.write("small/BUILD", _BUILD)
        self.checkout.write("small/a.txt", "hello\n")
        self.checkout.write("small/more/b.txt", "more\n")
        options = _OPTIONS.format(main=self.proxy.host, guarded=guarded.host)
        text = (self.checkout.root / "pants.toml").read_text()
        self.checkout.write("pants.toml", text + options)
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        # On a busy machine Pants does not wait long enough for its daemon the first time.
        self.checkout.run("roots", check=False)
        self.auth = folder / "auth.json"
        self.auth.write_text(json.dumps({"auths": {guarded.host: {"auth": token}}}))

    def publish(self, *arguments: str, check: bool = True) -> PantsResult:
        environment = {"REGISTRY_AUTH_FILE": str(self.auth)}
        # Publishing alone writes no reports.
        return self.checkout.run(
            "package", "publish", *arguments, environment=environment, check=check
        )

    def output(self) -> List[Dict[str, Any]]:
        data: List[Dict[str, Any]] = json.loads((self.checkout.root / "out.json").read_text())
        return data

    def digest(self, path: str) -> str:
        digest: str = self.checkout.report(path)["digest"]
        return digest


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("publish")
    with (
        DockerRegistry(folder / "registry") as registry,
        DockerRegistry(folder / "guarded", basic=True) as guarded,
    ):
        made = Published(folder, registry, guarded)
        try:
            with made.proxy:
                yield made
        finally:
            made.checkout.stop()


def test_an_image_is_published_where_fields_and_options_say(published: Published) -> None:
    targets = ("small:image", "small:skipped", "small:nowhere")
    result = published.publish("--publish-output=out.json", "-ldebug", *targets)
    digest = published.digest("small/image")
    main, guarded = published.proxy.host, published.guarded.host
    tags = ["1.0", "latest"]
    by_repository = {
        item["repository"]: item for item in published.output() if "repository" in item
    }
    pushed = by_repository[f"{main}/small/image"]
    assert pushed["digest"] == digest and pushed["published"] is True
    assert pushed["reference"] == f"{main}/small/image@{digest}"
    assert pushed["tags"] == [*tags, f"small-{digest[7:]}"]
    assert pushed["names"] == [f"{main}/small/image:{tag}" for tag in pushed["tags"]]
    assert pushed["target"] == "small:image"
    # A repository with an alias is in that registry alone, under its own name.
    assert by_repository[f"{guarded}/elsewhere"]["tags"] == tags
    assert by_repository["unused.example/small/image"]["published"] is False
    skipped = {item["target"]: item for item in published.output() if not item["published"]}
    assert "`skip_push` on small:skipped" in skipped["small:skipped"]["status"]
    assert "no registry" in skipped["small:nowhere"]["status"]
    assert f"{main}/small/image:latest published to {main}/small/image@{digest}" in result.output
    # What it took is in the log; what opened the door is not, even in a debug log.
    assert "blobs uploaded" in result.output
    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    logs = [
        result.output,
        *(p.read_text() for p in published.checkout.root.glob(".pants.d/**/*.log")),
    ]
    assert not [log for log in logs if PASSWORD in log or secret in log]


def test_engines_pull_what_was_pushed(
    published: Published, tmp_path: Path, podman: Podman, docker: Docker
) -> None:
    require("skopeo")
    digest = published.digest("small/image")
    reference = f"{published.registry.host}/small/image:1.0"
    command = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"]
    assert run(*command, f"docker://{reference}").strip() == digest
    skopeo = tmp_path / "skopeo"
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{skopeo}:x")
    index = json.loads((skopeo / "index.json").read_text())
    assert index["manifests"][0]["digest"] == digest
    assert podman.pull(reference) == digest
    assert docker.pull(reference) == digest


def test_after_a_one_line_edit_one_layer_and_metadata_are_sent(published: Published) -> None:
    before = published.checkout.report("small/image")
    published.checkout.write("small/a.txt", "hello, world\n")
    published.proxy.forget()
    published.publish("small:image")
    after = published.checkout.report("small/image")
    known = {layer["digest"] for layer in before["layers"]}
    (fresh,) = [layer for layer in after["layers"] if layer["digest"] not in known]
    sent = published.proxy.bytes_from_client
    # Heads of requests, the configuration, and the manifest under its digest and three tags.
    metadata = 8 * len(json.dumps(after)) + 20_000
    assert fresh["size"] < sent < fresh["size"] + metadata
    bodies = [exchange.sent for exchange in published.proxy.requests("^PUT .*/uploads/")]
    assert len(bodies) == 2 and fresh["size"] in bodies
    # And nothing at all if nothing changed.
    published.proxy.forget()
    published.publish("small:image")
    assert {exchange.method for exchange in published.proxy.exchanges} == {"HEAD"}


def test_what_a_base_has_is_mounted_from_it(published: Published) -> None:
    published.proxy.forget()
    result = published.publish("small:on-top")
    shared = {layer["digest"] for layer in published.checkout.report("small/image")["layers"]}
    mounted = published.proxy.requests("^POST .*/on-top/blobs/uploads/")
    assert {e.status for e in mounted if any(d in e.query for d in shared)} == {201}
    assert f"{len(shared)} mounted" in result.output


def test_twenty_images_that_share_most_of_it_upload_each_blob_once(published: Published) -> None:
    numbers = range(20)
    shared = "".join(f'    ":shared{number}",\n' for number in range(9))
    groups = ", ".join(f'"s{n}": ["file:twenty/shared{n}.txt"]' for n in range(9))
    build = [f'files(name="shared{n}", sources=["shared{n}.txt"])\n' for n in range(9)]
    for number in range(9):
        text = noise(50_000, f"shared by twenty {number}").hex()
        published.checkout.write(f"twenty/shared{number}.txt", text)
    for number in numbers:
        build.append(
            f'files(name="own{number}", sources=["{number}.txt"])\n'
            f'layered_image(name="image{number}", formats=["oci"], layer_groups={{{groups}}},\n'
            f'    contents=[":own{number}",\n{shared}])\n'
        )
        published.checkout.write(f"twenty/{number}.txt", noise(50_000, f"own {number}").hex())
    published.checkout.write("twenty/BUILD", "".join(build))
    # Files alone need no links, and what every such image has on top may be there.
    before = published.registry.blobs()
    published.proxy.forget()
    published.publish("twenty::")
    reports = [published.checkout.report(f"twenty/image{number}") for number in numbers]
    blobs = {layer["digest"]: layer["size"] for report in reports for layer in report["layers"]}
    uploads = published.proxy.requests("^PUT .*/uploads/")
    sent = [unquote(exchange.query.rpartition("digest=")[2]) for exchange in uploads]
    # Every layer and every configuration once, whatever order Pants chose.
    assert len(sent) == len(set(sent))
    wanted = {*blobs, *(report["config_digest"] for report in reports)}
    assert set(sent) == wanted - before and len(sent) >= 9 + 2 * len(numbers)
    assert sum(exchange.sent for exchange in uploads) < sum(blobs.values()) + 20 * 5000
    for number, report in enumerate(reports):
        for layer in report["layers"]:
            assert published.registry.has_blob(f"image{number}", layer["digest"])
    of_one = sum(layer["size"] for layer in reports[0]["layers"])
    assert sum(blobs.values()) < 20 * of_one / 6


def test_what_is_wrong_is_said_with_target_and_field(published: Published) -> None:
    build = (published.checkout.root / "small/BUILD").read_text()
    for wrong, complaints in (
        ('registries=["@nobody"]', ["small:bad", "@nobody", "@main"]),
        ('registries=["https://x.example"]', ["small:bad", "`registries`", "without 'https://'"]),
        ('repositories=["{nothing}"]', ["small:bad", "`repositories`", "{nothing}", "{name}"]),
        # Nobody listens there: the error comes from the push.
        ('repositories=["127.0.0.1:9/x"]', ["small:bad", "127.0.0.1:9", "failed"]),
    ):
        bad = f'layered_image(name="bad", contents=[":data"], formats=["oci"], {wrong})\n'
        published.checkout.write("small/BUILD", build + bad)
        result = published.publish("small:bad", check=False)
        assert result.exit_code != 0
        for complaint in complaints:
            assert complaint in result.output, result.output
    published.checkout.write("small/BUILD", build)
