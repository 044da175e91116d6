"""Config, manifest and index are consistent."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from strata.errors import StrataError
from strata.oci.image import (
    Image,
    ImageLayer,
    ImageSettings,
    build_image,
    checked_name,
    checked_tag,
    checked_variant,
    parse_timestamp,
    renamed,
    split_reference,
    timestamp,
)


def layer(number: int) -> ImageLayer:
    return ImageLayer(
        f"sha256:{number:064x}",
        100 + number,
        f"sha256:{number + 1000:064x}",
        200 + number,
        "application/vnd.oci.image.layer.v1.tar+gzip",
        ({"name": f"python:{number}", "version": "1", "size": 1, "files": 1},),
        "because",
    )


def image(**changes: Any) -> Image:
    settings = {"name": "team/app", "tags": ("a", "b"), **changes}
    return build_image(ImageSettings(**settings), [layer(1), layer(2)])


def parsed(built: Image, path: str) -> Any:
    return json.loads(built.files[path])


def test_digests_are_those_of_the_files() -> None:
    built = image()
    for digest in (built.digest, built.config_digest):
        content = built.files["blobs/" + digest.replace(":", "/")]
        assert hashlib.sha256(content).hexdigest() == digest[7:]
    manifest = parsed(built, "blobs/" + built.digest.replace(":", "/"))
    assert manifest["config"]["digest"] == built.config_digest
    assert [item["digest"] for item in manifest["layers"]] == [layer(1).digest, layer(2).digest]
    config = parsed(built, "blobs/" + built.config_digest.replace(":", "/"))
    assert config["rootfs"]["diff_ids"] == [layer(1).diff_id, layer(2).diff_id]
    assert len(config["history"]) == 2
    assert config["created"] == "1970-01-01T00:00:01Z"
    assert (config["os"], config["architecture"]) == ("linux", "amd64")


def test_index_and_docker_manifest_name_every_tag() -> None:
    built = image()
    index = parsed(built, "index.json")
    names = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
    assert names == ["a", "b"]
    assert {m["digest"] for m in index["manifests"]} == {built.digest}
    (manifest,) = parsed(built, "manifest.json")
    assert manifest["RepoTags"] == ["team/app:a", "team/app:b"]
    assert manifest["Config"] == "blobs/" + built.config_digest.replace(":", "/")
    assert parsed(built, "oci-layout") == {"imageLayoutVersion": "1.0.0"}


def test_tag_defaults_to_the_content() -> None:
    built = image(tags=())
    assert built.references == (f"team/app:{built.digest[7:39]}",)
    assert image(tags=(), config={"User": "1"}).references != built.references


def test_name_and_tags_are_in_no_digest() -> None:
    assert image().digest == image(name="other", tags=("z",)).digest


def test_what_a_base_brings_lies_below() -> None:
    built = image(base_layers=(layer(7),), base_history=({"created_by": "them"},))
    assert [item.digest for item in built.layers][0] == layer(7).digest
    assert built.config["rootfs"]["diff_ids"][0] == layer(7).diff_id
    assert built.config["history"][0] == {"created_by": "them"}


def test_renaming_changes_only_names() -> None:
    built = image()
    index, manifest = renamed(
        parsed(built, "index.json"), parsed(built, "manifest.json"), [("x", "1"), ("y", "2")]
    )
    assert [m["digest"] for m in json.loads(index)["manifests"]] == [built.digest] * 2
    assert json.loads(manifest)[0]["RepoTags"] == ["x:1", "y:2"]
    # Named as it was, it is as it was.
    again = renamed(
        parsed(built, "index.json"),
        parsed(built, "manifest.json"),
        [("team/app", "a"), ("team/app", "b")],
    )
    assert again == (built.files["index.json"], built.files["manifest.json"])


def test_report_says_what_is_in_each_layer() -> None:
    report = image().report()
    assert report["size"] == 203
    assert report["layers"][0]["members"][0]["name"] == "python:1"
    assert report["layers"][0]["reason"] == "because"


@pytest.mark.parametrize(
    ("name", "checked"),
    [
        ("App", "app"),
        ("a/b__c/d.e", "a/b__c/d.e"),
        ("Registry.Example:5000/Team/App", "Registry.Example:5000/team/app"),
        ("localhost/X", "localhost/x"),
        ("[::1]:5000/x", "[::1]:5000/x"),
    ],
)
def test_names(name: str, checked: str) -> None:
    assert checked_name(name) == checked


@pytest.mark.parametrize("name", ["", "a b", "a//b", "-a", "a:b", "ä", "a/", "a@sha256:b"])
def test_bad_names(name: str) -> None:
    with pytest.raises(StrataError, match="is not an image name"):
        checked_name(name)


@pytest.mark.parametrize("tag", ["", "-a", "a b", "a" * 129, "é", "a/b"])
def test_bad_tags(tag: str) -> None:
    assert checked_tag("_ok.1-2")
    with pytest.raises(StrataError, match="is not a tag"):
        checked_tag(tag)


def test_references_are_split() -> None:
    assert split_reference("Host:5000/A/b:1") == ("Host:5000/a/b", "1")
    assert split_reference("host:5000/a") == ("host:5000/a", "latest")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T01:00:01+01:00", 1),
        ("1970-01-02", 86400),
        ("2024-05-06T07:08:09", 1714979289),
        ("now", 42),
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert parse_timestamp(text, now=42) == seconds
    assert parse_timestamp(timestamp(seconds)) == seconds


def test_bad_time() -> None:
    with pytest.raises(StrataError, match="'soon' is not an ISO 8601 time"):
        parse_timestamp("soon")


def test_variants() -> None:
    assert checked_variant("arm", "v7") == "v7"
    assert checked_variant("s390x", "") == ""
    with pytest.raises(StrataError, match="no variant 'v9' of arm, which has v5, v6, v7, v8"):
        checked_variant("arm", "v9")
    with pytest.raises(StrataError, match="no variant 'v2' of s390x, which has none"):
        checked_variant("s390x", "v2")


def test_variant_is_in_the_configuration_and_the_index() -> None:
    image = build_image(ImageSettings("x", architecture="arm", variant="v7"), [])
    platform = {"architecture": "arm", "os": "linux", "variant": "v7"}
    assert image.config.items() >= platform.items()
    assert json.loads(image.files["index.json"])["manifests"][0]["platform"] == platform
