"""SBOMs, as an image's facts ask for them, read by the library's own validator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from strata.supply_chain.facts import BaseOrigin, ImageFacts, Origin
from supply_chain.validators import is_valid, run_strata, validate

LOWER, UPPER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
DEB, WHEEL, TREE = "a" * 64, "b" * 64, "c" * 64


def member(name: str, version: str = "", **facts: Any) -> Dict[str, Any]:
    return {"name": name, "version": version, **facts}


def image_facts(**changes: Any) -> ImageFacts:
    """An image with objects of each kind on a base that has an older wheel."""
    source = {"name": "glibc", "version": "2.36-9+deb12u14"}
    facts: Dict[str, Any] = {
        "address": "demo:image",
        "name": "registry.example/team/demo",
        "digest": "sha256:" + "d" * 64,
        "architecture": "arm64",
        "variant": "v8",
        "created": "2001-02-03T04:05:06Z",
        "layers": [
            {
                "digest": LOWER,
                "diff_id": "sha256:" + "3" * 64,
                "members": [
                    member("debian:libc6", "2.36-9+deb12u14", source=source),
                    member("python:flask", "2.0", dir_hash=TREE),
                ],
            },
            {
                "digest": UPPER,
                "diff_id": "sha256:" + "4" * 64,
                "members": [
                    member("python:flask", "3.0", dir_hash=TREE),
                    member("source:web", dir_hash=TREE),
                    member("customisation"),
                ],
            },
        ],
        "origins": {
            LOWER: {
                "debian:libc6": Origin(
                    "deb", "libc6", architecture="arm64", suite="bookworm", sha256=DEB
                ).to_json(),
                "python:flask": Origin("pypi", "flask", licenses=("BSD",)).to_json(),
            },
            UPPER: {
                "python:flask": Origin(
                    "pypi", "flask", sha256=WHEEL, licenses=("BSD-3-Clause",)
                ).to_json(),
                "source:web": Origin(address="src/web:web").to_json(),
            },
        },
        "references": {
            "debian:libc6": [],
            "python:flask": ["debian:libc6"],
            "source:web": ["python:flask"],
        },
        "roots": {"src/web:web": ["source:web"]},
        "bases": [
            BaseOrigin(
                "base:debian",
                repository="docker.io/library/debian",
                digest="sha256:" + "e" * 64,
                layers=(LOWER,),
            ).to_json()
        ],
    }
    return ImageFacts.from_json({**facts, **changes})


def sbom(folder: Path, facts: ImageFacts, hash_seed: int = 0) -> Dict[str, Any]:
    written = run_strata(folder, "sbom", {"facts": facts.to_json()}, hash_seed)
    validate("cyclonedx", folder / "out.json")
    return written


def components(bom: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    return {item["bom-ref"]: item for item in bom["components"]}


def properties(item: Dict[str, Any]) -> Dict[str, str]:
    return {row["name"]: row["value"] for row in item["properties"]}


def dependencies(bom: Dict[str, Any]) -> Dict[str, List[str]]:
    return {item["ref"]: item.get("dependsOn", []) for item in bom["dependencies"]}


@pytest.fixture(scope="module")
def bom(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    return sbom(tmp_path_factory.mktemp("sbom"), image_facts())


def test_the_subject_is_the_image(bom: Dict[str, Any]) -> None:
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.7", 1)
    assert bom["metadata"]["timestamp"] == "2001-02-03T04:05:06+00:00"
    image = bom["metadata"]["component"]
    assert image["type"] == "container"
    assert image["purl"] == (
        "pkg:oci/demo@sha256:" + "d" * 64 + "?arch=arm64&repository_url=registry.example/team/demo"
    )
    assert properties(image) == {"strata:address": "demo:image"}


def test_a_debian_package_has_its_file_and_its_source(bom: Dict[str, Any]) -> None:
    libc = components(bom)["debian:libc6"]
    assert libc["purl"] == (
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=arm64&distro=bookworm&upstream=glibc"
    )
    assert libc["hashes"] == [{"alg": "SHA-256", "content": DEB}]
    (source,) = libc["pedigree"]["ancestors"]
    assert (source["name"], source["version"]) == ("glibc", "2.36-9+deb12u14")
    assert properties(libc) == {
        "strata:layer:digest": LOWER,
        "strata:layer:diff-id": "sha256:" + "3" * 64,
    }
    assert "licenses" not in libc


def test_what_an_image_has_twice_is_told_twice(bom: Dict[str, Any]) -> None:
    found = components(bom)
    lower, upper = found[f"python:flask#{LOWER}"], found["python:flask"]
    assert (lower["purl"], upper["purl"]) == ("pkg:pypi/flask@2.0", "pkg:pypi/flask@3.0")
    assert "hashes" not in lower
    assert upper["hashes"] == [{"alg": "SHA-256", "content": WHEEL}]
    assert lower["licenses"][0]["license"] == {"name": "BSD", "acknowledgement": "declared"}
    assert upper["licenses"][0]["license"]["id"] == "BSD-3-Clause"
    assert properties(upper)["strata:files:dirHash"] == TREE


def test_first_party_code_has_its_address_and_no_package_url(bom: Dict[str, Any]) -> None:
    web = components(bom)["source:web"]
    assert properties(web)["strata:address"] == "src/web:web"
    assert "purl" not in web
    assert "customisation" not in components(bom)


def test_a_base_has_its_repository_and_layers(bom: Dict[str, Any]) -> None:
    base = components(bom)["base:base:debian"]
    assert base["purl"] == (
        "pkg:oci/debian@sha256:" + "e" * 64 + "?repository_url=docker.io/library/debian"
    )
    assert properties(base)["strata:layer:digest"] == LOWER


def test_dependencies_are_the_references_of_the_closure(bom: Dict[str, Any]) -> None:
    image = bom["metadata"]["component"]["bom-ref"]
    assert dependencies(bom) == {
        image: ["base:base:debian", "source:web"],
        "source:web": ["python:flask"],
        "python:flask": ["debian:libc6"],
        f"python:flask#{LOWER}": ["debian:libc6"],
        "debian:libc6": [],
        "base:base:debian": [],
    }


def test_equal_facts_give_equal_bytes_and_others_another_serial_number(
    bom: Dict[str, Any], tmp_path: Path
) -> None:
    for seed in (1, 2):
        assert sbom(tmp_path, image_facts(), seed)[""] == bom[""]
    other = sbom(tmp_path, image_facts(digest="sha256:" + "f" * 64))
    assert other["serialNumber"] != bom["serialNumber"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("MIT OR Apache-2.0",), {"expression": "MIT OR Apache-2.0"}),
        (("mit",), {"license": {"id": "MIT"}}),
        (("Our own, see below",), {"license": {"name": "Our own, see below"}}),
    ],
)
def test_licences_are_what_the_package_says(
    tmp_path: Path, texts: List[str], expected: Dict[str, Any]
) -> None:
    facts = image_facts()
    facts.origins[UPPER]["python:flask"]["licenses"] = texts
    (found,) = components(sbom(tmp_path, facts))["python:flask"]["licenses"]
    found.get("license", found).pop("acknowledgement")
    assert found == expected


def test_the_validator_refuses_what_is_wrong(bom: Dict[str, Any], tmp_path: Path) -> None:
    changed = json.loads(bom[""])
    changed["components"][0]["type"] = "nonsense"
    (tmp_path / "bom.json").write_text(json.dumps(changed))
    assert not is_valid("cyclonedx", tmp_path / "bom.json")
