"""SBOMs and provenance of real images: what they say is what is in the layers, and registries have
them as referrers."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import tarfile
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, Set

import pytest

from end_to_end.interpreters import interpreters
from end_to_end.pants_checkout import PantsCheckout, PantsResult, sha256
from end_to_end.tools import require, unavailable
from registries.fault_proxy import FaultProxy
from registries.server import DockerRegistry
from strata.closure.debian.deb822 import paragraphs
from strata.closure.debian.lock import parse_locks
from strata.registry.client import RegistryClient
from strata.registry.reference import parse_reference
from strata.registry.referrers import referrers
from strata.registry.settings import ClientSettings, RegistrySettings
from supply_chain.documents import components, properties
from supply_chain.validators import validate

_BUILDER = "https://ci.example/release-pipeline@v1"
_OPTIONS = """
[layered-images]
builder_id = "{builder}"

[layered-images.registries.main]
address = "{host}"
default = true
plain_http = true
"""
_BUILD = """
layered_image(
    name="lower",
    image_name="lower",
    contents=["app:os", "app:tmp"],
    formats=["oci"],
)

layered_image(
    name="image",
    image_name="team/told",
    tags=["1.0"],
    created="2001-02-03T04:05:06Z",
    contents=["app:server", "app:users", "app:certificates"],
    interpreter="/usr/bin/python3.11 3.11.2",
    base=":lower",
    formats=["oci"],
    attestations=["sbom", "provenance"],
)

files(name="data", sources=["data.txt"])
layered_image(
    name="both",
    image_name="BOTH",
    architectures=["amd64", "arm64"],
    contents=[":data"],
    formats=["oci"],
    attestations=["sbom", "provenance"],
)
layered_image(name="silent", contents=[":data"], formats=["oci"])
"""
_CYCLONEDX = "application/vnd.cyclonedx+json"
_IN_TOTO = "application/vnd.in-toto+json"
_VERSIONS = ("3.9", "3.11", "3.13")


class Told:
    """A checkout with images that tell about themselves, and a registry behind ``proxy``."""

    def __init__(self, folder: Path, registry: DockerRegistry) -> None:
        self.proxy = FaultProxy(registry.host)
        self.checkout = PantsCheckout(folder / "checkout", daemon=True)
        # A process that is cached has no sandbox: what it is about must be new.
        self.name = f"both-{uuid.uuid4().hex}"
        self.build = _BUILD.replace("BOTH", self.name)
        self.checkout.write("told/BUILD", self.build)
        self.checkout.write("told/data.txt", "hello\n")
        text = (self.checkout.root / "pants.toml").read_text()
        options = _OPTIONS.format(builder=_BUILDER, host=self.proxy.host)
        self.checkout.write("pants.toml", text + options)
        self.sandboxes = folder / "kept"
        self.sandboxes.mkdir()
        self.packaged = self.checkout.run(
            "package",
            "told:image",
            "told:both",
            "told:silent",
            "--keep-sandboxes=always",
            f"--local-execution-root-dir={self.sandboxes}",
        )

    def path(self, name: str) -> Path:
        return self.checkout.root / "dist/told" / name

    def read(self, name: str) -> Dict[str, Any]:
        data: Dict[str, Any] = json.loads(self.path(name).read_text(encoding="utf-8"))
        return data

    def publish(self, *targets: str) -> PantsResult:
        return self.checkout.run("publish", *targets)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    require("docker-registry")
    folder = tmp_path_factory.mktemp("told")
    with DockerRegistry(folder / "registry") as registry:
        made = Told(folder, registry)
        try:
            with made.proxy:
                yield made
        finally:
            made.checkout.stop()


@pytest.fixture(scope="module")
def layers(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """The unpacked layers of ``told:image`` by digest, as far as packages are concerned."""
    found = {}
    for layer in told.read("image.json")["layers"]:
        folder = tmp_path_factory.mktemp("layer")
        blob = told.path("image.oci") / "blobs" / layer["digest"].replace(":", "/")
        with tarfile.open(blob) as archive:
            for member in archive:
                if ".dist-info/" in member.name or "/status.d/" in member.name:
                    archive.extract(member, folder)
        found[layer["digest"]] = folder
    return found


def layer_of(item: Dict[str, Any]) -> str:
    (digest,) = properties(item)["strata:layer:digest"]
    return digest


def test_package_writes_valid_documents(told: Told) -> None:
    for name in ("image.cdx.json", "both.amd64.cdx.json", "both.arm64.cdx.json"):
        validate("cyclonedx", told.path(name))
        assert f"Wrote dist/told/{name}" in told.packaged.output
    for name in ("image.provenance.json", "both.provenance.json"):
        validate("provenance", told.path(name))
    digest = told.read("image.json")["digest"]
    assert f"sbom of {digest}" in told.packaged.output
    assert f"provenance of {digest}" in told.packaged.output


def test_nothing_is_written_or_run_for_those_that_do_not_ask(told: Told) -> None:
    assert not list(told.path(".").glob("silent*.cdx.json"))
    assert not [name for name in told.packaged.processes if "told:silent" in name]
    # And the image is the same with and without.
    image = told.read("image.json")
    told.checkout.replace(
        "told/BUILD", '    attestations=["sbom", "provenance"],\n)\n\nf', ")\n\nf"
    )
    try:
        result = told.checkout.run("package", "told:image")
    finally:
        told.checkout.write("told/BUILD", told.build)
    assert "cdx" not in result.output
    assert told.read("image.json") == image


def test_wheels_are_those_that_the_image_has(told: Told, layers: Dict[str, Path]) -> None:
    found = components(told.read("image.cdx.json"), "python")
    versions = {}
    for digest, folder in layers.items():
        for info in folder.glob("opt/store/**/*.dist-info"):
            distribution = importlib.metadata.PathDistribution(info)
            name = distribution.metadata["Name"].lower().replace("_", "-")
            versions[name] = distribution.version
            assert found[name]["purl"] == f"pkg:pypi/{name}@{distribution.version}"
            assert layer_of(found[name]) == digest
    assert versions == {name: item["version"] for name, item in found.items()}
    assert "numpy" in versions


def test_debian_packages_are_those_that_the_image_has(told: Told, layers: Dict[str, Path]) -> None:
    found = components(told.read("image.cdx.json"), "debian")
    (lock,) = [
        lock
        for lock in parse_locks((told.checkout.root / "app/debian.lock").read_text(), "lock")
        if lock.architecture == "amd64"
    ]
    locked = {package.name: package for package in lock.packages}
    seen: Set[str] = set()
    for digest, folder in layers.items():
        for path in folder.glob("var/lib/dpkg/status.d/*"):
            if path.suffix == ".md5sums":
                continue
            (control,) = paragraphs(path.read_text())
            name = control["package"]
            item = found[name]
            seen.add(name)
            assert item["version"] == control["version"]
            assert layer_of(item) == digest
            assert item["hashes"] == [{"alg": "SHA-256", "content": locked[name].sha256}]
            source = control.get("source", name).split()
            (ancestor,) = item["pedigree"]["ancestors"]
            assert ancestor["name"] == source[0]
            version = source[1].strip("()") if len(source) > 1 else control["version"]
            assert ancestor["version"] == version
    assert seen == set(found) == set(locked)
    assert found["libc6"]["pedigree"]["ancestors"][0]["name"] == "glibc"


def test_first_party_code_has_its_address_and_the_hash_of_its_files(told: Told) -> None:
    web = components(told.read("image.cdx.json"), "source")["web"]
    said = properties(web)
    assert said["strata:address"] == ["app/web:web"]
    # Go's Hash1, done by hand: lines of `sha256sum`, sorted by path.
    folder = told.checkout.root / "app/web"
    site = "lib/python3.11/site-packages"
    lines = sorted((f"{site}/web/{path.name}", sha256(path)) for path in folder.glob("*.py"))
    summary = "".join(f"{digest}  {path}\n" for path, digest in lines)
    assert said["strata:files:dirHash"] == [hashlib.sha256(summary.encode()).hexdigest()]


def test_bases_and_references_are_told(told: Told) -> None:
    bom = told.read("image.cdx.json")
    assert bom["metadata"]["timestamp"] == "2001-02-03T04:05:06+00:00"
    (base,) = components(bom, "base").values()
    assert base["purl"].startswith("pkg:oci/lower@sha256:")
    assert properties(base)["strata:address"] == ["told:lower"]
    depends = {item["ref"]: item.get("dependsOn", []) for item in bom["dependencies"]}
    assert "python:werkzeug" in depends["python:flask"]
    assert "debian:libc6" in depends["debian:python3.11-minimal"]
    assert base["bom-ref"] in depends[bom["metadata"]["component"]["bom-ref"]]


def test_provenance_says_what_the_image_was_made_of(told: Told) -> None:
    statement = told.read("image.provenance.json")
    digest = told.read("image.json")["digest"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "team/told", "digest": {"sha256": digest[7:]}}]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["target"] == "told:image"
    fields = definition["externalParameters"]["fields"]["told:image"]
    assert fields["created"] == "2001-02-03T04:05:06Z"
    assert not {"formats", "attestations"} & set(fields)
    assert statement["predicate"]["runDetails"]["builder"]["id"] == _BUILDER
    dependencies = {item["name"]: item for item in definition["resolvedDependencies"]}
    bom = told.read("image.cdx.json")
    libc = components(bom, "debian")["libc6"]
    file_name = f"libc6_{libc['version']}_amd64.deb"
    assert dependencies[file_name]["digest"]["sha256"] == libc["hashes"][0]["content"]
    (said,) = properties(components(bom, "source")["web"])["strata:files:dirHash"]
    assert dependencies["source:web"]["digest"] == {"dirHash": said}
    assert dependencies["lower"]["annotations"] == {"address": "told:lower"}
    assert [name for name in dependencies if name.startswith("numpy-")]
    # An index, and the images that it lists, are what one statement is about.
    both = told.read("both.json")
    digests = [both["digest"], *(image["digest"] for image in both["platforms"].values())]
    subjects = told.read("both.provenance.json")["subject"]
    assert [f"sha256:{subject['digest']['sha256']}" for subject in subjects] == digests


def test_every_python_writes_the_same_documents(told: Told, tmp_path: Path) -> None:
    found = interpreters()
    missing = [version for version in _VERSIONS if version not in found]
    if missing:
        unavailable(f"needs CPython {', '.join(missing)}")
    for command in ("sbom", "provenance"):
        sandbox = next(
            path
            for path in sorted(told.sandboxes.iterdir())
            if (path / "__run.sh").exists() and f" {command} spec.json" in _started(path)
        )
        expected = (sandbox / "document.json").read_bytes()
        for version, python in found.items():
            subprocess.run(
                [python, "-ISB", "engine/__main__.py", command, "spec.json", str(tmp_path)],
                cwd=sandbox,
                env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
                check=True,
            )
            assert (tmp_path / "document.json").read_bytes() == expected, (command, version)


def _started(sandbox: Path) -> str:
    return (sandbox / "__run.sh").read_text()


def test_registries_have_them_as_referrers(told: Told) -> None:
    told.publish("told:image", "told:both")
    image, both = told.read("image.json"), told.read("both.json")
    settings = ClientSettings({told.proxy.host: RegistrySettings(plain_http=True)})
    with RegistryClient(settings) as client:
        repository = client.repository(parse_reference(f"{told.proxy.host}/team/told"))
        (sbom,) = referrers(repository, image["digest"], _CYCLONEDX)
        manifest = repository.manifest(sbom.digest)
        assert manifest.subject is not None and manifest.subject.digest == image["digest"]
        assert manifest.data["annotations"] == {
            "org.opencontainers.image.created": "2001-02-03T04:05:06Z"
        }
        config, layer = manifest.blobs
        assert config.media_type == "application/vnd.oci.empty.v1+json"
        assert layer.digest == f"sha256:{sha256(told.path('image.cdx.json'))}"
        assert layer.extra["annotations"] == {"org.opencontainers.image.title": "image.cdx.json"}
        (provenance,) = referrers(repository, image["digest"], _IN_TOTO)
        assert provenance.extra["annotations"]["in-toto.io/predicate-type"] == (
            "https://slsa.dev/provenance/v1"
        )

        several = client.repository(parse_reference(f"{told.proxy.host}/{told.name}"))
        assert referrers(several, both["digest"], _CYCLONEDX) == ()
        assert len(referrers(several, both["digest"], _IN_TOTO)) == 1
        for platform, one in both["platforms"].items():
            (sbom,) = referrers(several, one["digest"], _CYCLONEDX)
            (_, layer) = several.manifest(sbom.digest).blobs
            path = told.path(f"both.{platform}.cdx.json")
            assert layer.digest == f"sha256:{sha256(path)}"
            assert len(referrers(several, one["digest"], _IN_TOTO)) == 1


def test_publishing_again_sends_nothing(told: Told) -> None:
    told.publish("told:image")
    told.proxy.forget()
    told.publish("told:image")
    assert {exchange.method for exchange in told.proxy.exchanges} == {"HEAD", "GET"}
    assert not [e for e in told.proxy.exchanges if e.method == "GET" and "/blobs/" in e.path]


def test_provenance_needs_a_builder(told: Told) -> None:
    text = (told.checkout.root / "pants.toml").read_text()
    told.checkout.replace("pants.toml", f'builder_id = "{_BUILDER}"\n', "")
    try:
        result = told.checkout.run("package", "told:both", check=False)
    finally:
        told.checkout.write("pants.toml", text)
    assert result.exit_code == 1
    assert "`attestations` of told:both" in result.output
    assert "set [layered-images].builder_id" in result.output
    told.checkout.replace("told/BUILD", '"sbom", "provenance"', '"spdx"')
    try:
        result = told.checkout.run("package", "told:both", check=False)
    finally:
        told.checkout.write("told/BUILD", told.build)
    assert "choose from 'sbom', 'provenance', not spdx" in result.output
