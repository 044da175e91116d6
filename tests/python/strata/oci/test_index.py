"""An index and its images are consistent, and named so that everybody finds theirs."""

from __future__ import annotations

import hashlib
import json
from typing import Any, List

import pytest

from strata.errors import StrataError
from strata.oci.image import Image, ImageLayer, ImageSettings, build_image
from strata.oci.index import IndexedImage, build_index, images_of, index_report, platforms_of
from strata.oci.naming import renamed
from strata.platforms import Platform, parse_platform


def image(platform: Platform, *numbers: int) -> Image:
    layers = [
        ImageLayer(
            f"sha256:{number:064x}",
            100 + number,
            f"sha256:{number + 1000:064x}",
            200 + number,
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )
        for number in numbers
    ]
    settings = ImageSettings(
        "not/this", architecture=platform.architecture, variant=platform.variant
    )
    return build_image(settings, layers)


IMAGES = {
    "amd64": image(parse_platform("amd64"), 1, 2),
    "arm64": image(parse_platform("arm64"), 3, 2),
    "arm/v7": image(parse_platform("arm/v7"), 4),
}


def indexed(*names: str) -> List[IndexedImage]:
    return [
        IndexedImage(parse_platform(name), IMAGES[name].descriptor, IMAGES[name].docker)
        for name in names
    ]


def parsed(files: Any, path: str) -> Any:
    return json.loads(files[path])


def test_a_name_leads_to_every_image() -> None:
    index = build_index("Team/App", ["1", "2"], indexed("amd64", "arm64", "arm/v7"))
    assert index.references == ("team/app:1", "team/app:2")
    named = parsed(index.files, "index.json")["manifests"]
    assert [item["digest"] for item in named] == [index.digest] * 2
    content = index.files["blobs/" + index.digest.replace(":", "/")]
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == index.digest
    assert named[0]["size"] == len(content)
    manifests = json.loads(content)["manifests"]
    assert [item["digest"] for item in manifests] == [item.digest for item in IMAGES.values()]
    assert manifests[2]["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}
    assert not any("annotations" in item for item in manifests)
    assert platforms_of(json.loads(content)) == [parse_platform(name) for name in IMAGES]


def test_docker_names() -> None:
    """One name is one image there; the first has the plain names."""
    index = build_index("app", ["1"], indexed("arm64", "arm/v7"))
    rows = parsed(index.files, "manifest.json")
    assert [row["RepoTags"] for row in rows] == [["app:1", "app:1-arm64"], ["app:1-arm-v7"]]
    assert rows[0]["Config"] == IMAGES["arm64"].docker["Config"]


def test_without_tags_it_is_tagged_by_its_content() -> None:
    index = build_index("app", [], indexed("amd64", "arm64"))
    assert index.references == (f"app:{index.digest[7:39]}",)


def test_renaming_keeps_platforms_apart() -> None:
    index = build_index("app", ["1"], indexed("amd64", "arm64"))
    files = [parsed(index.files, name) for name in ("index.json", "manifest.json")]
    platforms = [parse_platform(name) for name in ("amd64", "arm64")]
    assert renamed(*files, [("app", "1")], platforms) == (
        index.files["index.json"],
        index.files["manifest.json"],
    )
    _, manifest = renamed(*files, [("x", "2")], platforms)
    assert [row["RepoTags"] for row in json.loads(manifest)] == [
        ["x:2", "x:2-amd64"],
        ["x:2-arm64"],
    ]


def test_report() -> None:
    """What images share counts once."""
    index = build_index("app", ["1"], indexed("amd64", "arm64"))
    reports = {name: IMAGES[name].report() for name in ("amd64", "arm64")}
    report = index_report(index, reports)
    assert report["size"] == 101 + 102 + 103
    assert report["digest"] == index.digest
    assert list(report["platforms"]) == ["amd64", "arm64"]
    assert report["platforms"]["arm64"]["digest"] == IMAGES["arm64"].digest
    single = images_of("//x:y", report)
    assert list(single) == ["//x:y (amd64)", "//x:y (arm64)"]
    assert single["//x:y (arm64)"]["references"] == ["app:1"]
    assert images_of("//x:y", reports["amd64"]) == {"//x:y": reports["amd64"]}


@pytest.mark.parametrize(
    ("tags", "names", "message"),
    [
        (["1"], [], "at least one image"),
        (["1"], ["amd64", "arm64", "amd64"], "two of its images are for amd64"),
        (["a b"], ["amd64"], "'a b' is not a tag"),
        (["a" * 126], ["amd64"], "is not a tag"),
    ],
)
def test_bad_indexes(tags: List[str], names: List[str], message: str) -> None:
    with pytest.raises(StrataError, match=message):
        build_index("app", tags, indexed(*names))
