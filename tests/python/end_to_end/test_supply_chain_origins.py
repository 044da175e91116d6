"""What SBOMs and provenance say of bases that are not of this repository, and of wheels whose lock
names files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from end_to_end.pants_checkout import PantsCheckout, sha256
from end_to_end.tools import require
from registries.server import DockerRegistry
from supply_chain.documents import components, properties
from supply_chain.validators import validate

_BUILD = """
files(name="data", sources=["data.txt"])
layered_image(name="lower", contents=[":data", "app:tmp"], attestations=[])

file(name="archive", source="lower.tar")
layered_image(name="on-archive", base=":archive", contents=[":more"])

files(name="more", sources=["more.txt"])
image_base(name="registered", repository="@main/lower", digest="{digest}")
layered_image(name="on-registry", base=":registered", contents=[":more"])
"""
_LOCKED = """
python_requirement(name="demo", requirements=["demo-pkg"], modules=["demo"], resolve="locked")
python_sources(resolve="locked", interpreter_constraints=["CPython>=3.9,<3.13"])

pex_binary(
    name="main",
    entry_point="main.py",
    resolve="locked",
    interpreter_constraints=["CPython>=3.9,<3.13"],
    complete_platforms=["app:platform"],
)

layered_image(name="image", contents=[":main", "app:os"])
"""
_OPTIONS = """
[layered-images]
attestations = ["sbom", "provenance"]
builder_id = "https://ci.example/release-pipeline@v1"

[layered-images.registries.main]
address = "{host}"
default = true
plain_http = true
"""


class Origins:
    """A checkout whose options ask for attestations of all images."""

    def __init__(self, folder: Path, host: str) -> None:
        self.host = host
        self.checkout = PantsCheckout(folder / "checkout", daemon=True)
        text = (self.checkout.root / "pants.toml").read_text()
        resolves = "[python.resolves]\n"
        locked = f'{resolves}locked = "examples/locked/demo.lock"\n'
        assert resolves in text
        options = _OPTIONS.format(host=host)
        self.checkout.write("pants.toml", text.replace(resolves, locked) + options)
        self.checkout.write("based/data.txt", "lower\n")
        self.checkout.write("based/more.txt", "more\n")
        self.checkout.write("based/BUILD", _BUILD.format(digest="sha256:" + "0" * 64))
        self.wheel = self._locked(folder)

    def _locked(self, folder: Path) -> Path:
        wheel = folder / "Demo_Pkg-1.0-py3-none-any.whl"
        info = "Demo_Pkg-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("demo.py", "")
            metadata = "Metadata-Version: 2.1\nName: Demo.Pkg\nVersion: 1.0\nLicense: MIT\n"
            archive.writestr(f"{info}/METADATA", metadata)
            tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr(f"{info}/WHEEL", tag)
            archive.writestr(f"{info}/RECORD", f"{info}/RECORD,,\n")
        self.checkout.write("examples/locked/BUILD", _LOCKED)
        self.checkout.write("examples/locked/main.py", "import demo\n")
        lock = self.checkout.root / "examples/locked/demo.lock"
        arguments = ["lock", "create", "demo-pkg", "--no-pypi", f"--find-links={folder}"]
        arguments += ["--style=universal", "--interpreter-constraint=CPython>=3.9,<3.13"]
        subprocess.run(
            [sys.executable, "-m", "pex.cli", *arguments, "-o", str(lock)],
            env={**os.environ, "PEX_ROOT": str(folder / "pex")},
            check=True,
        )
        return wheel

    def told(self, target: str) -> "tuple[Dict[str, Any], Dict[str, Dict[str, Any]]]":
        """The SBOM of a target, and its provenance's dependencies by name."""
        self.checkout.run("package", target)
        path = self.checkout.root / "dist" / target.replace("/", ".").replace(":", "/")
        documents = []
        for kind, suffix in (("cyclonedx", "cdx"), ("provenance", "provenance")):
            file = path.with_name(f"{path.name}.{suffix}.json")
            validate(kind, file)
            documents.append(json.loads(file.read_text()))
        bom, statement = documents
        found = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        return bom, {item["name"]: item for item in found}


@pytest.fixture(scope="module")
def origins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origins]:
    require("docker-registry")
    folder = tmp_path_factory.mktemp("origins")
    with DockerRegistry(folder / "registry") as registry:
        made = Origins(folder, registry.host)
        try:
            yield made
        finally:
            made.checkout.stop()


def test_bases_have_the_digests_that_they_are_named_by(origins: Origins) -> None:
    checkout = origins.checkout
    checkout.run("package", "publish", "based:lower")
    # The field is stronger than the option.
    assert not list((checkout.root / "dist/based").glob("*.cdx.json"))
    lower = checkout.report("based/lower")
    shutil.copy(checkout.archive("based/lower"), checkout.root / "based/lower.tar")
    checkout.write("based/BUILD", _BUILD.format(digest=lower["digest"]))
    layers = [layer["digest"] for layer in lower["layers"]]
    repository = f"{origins.host}/lower"

    bom, dependencies = origins.told("based:on-registry")
    (base,) = components(bom, "base").values()
    assert base["purl"] == f"pkg:oci/lower@{lower['digest']}?repository_url={repository}"
    assert properties(base)["strata:layer:digest"] == sorted(layers)
    assert dependencies[repository]["digest"] == {"sha256": lower["digest"][7:]}
    assert dependencies[repository]["uri"] == base["purl"]
    # Nobody knows what is in it.
    assert list(components(bom, "file")) == ["based/more.txt"]

    bom, dependencies = origins.told("based:on-archive")
    (base,) = components(bom, "base").values()
    expected = sha256(checkout.root / "based/lower.tar")
    assert base["hashes"] == [{"alg": "SHA-256", "content": expected}]
    assert "purl" not in base
    assert dependencies["based:archive"]["digest"] == {"sha256": expected}


def test_a_wheel_has_the_hash_of_the_file_that_its_lock_names(origins: Origins) -> None:
    bom, dependencies = origins.told("examples/locked:image")
    expected = hashlib.sha256(origins.wheel.read_bytes()).hexdigest()
    wheel = components(bom, "python")["demo-pkg"]
    assert wheel["hashes"] == [{"alg": "SHA-256", "content": expected}]
    assert wheel["licenses"] == [{"license": {"id": "MIT", "acknowledgement": "declared"}}]
    assert dependencies[origins.wheel.name] == {
        "name": origins.wheel.name,
        "uri": "pkg:pypi/demo-pkg@1.0",
        "digest": {"sha256": expected},
    }
