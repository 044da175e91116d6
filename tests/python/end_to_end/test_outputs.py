"""Formats and compressions of what `package` writes, read by real tools."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Iterator, Set

import pytest

from end_to_end.pants_checkout import PantsCheckout, members_by_digest
from end_to_end.runtimes import run
from end_to_end.tools import require

_BUILD = """
image_users(name="users", users={{"app": {{"uid": 5}}}})
files(name="text", sources=["text.txt"])
layered_image(
    name="image",
    image_name="outputs",
    tags=["one", "two"],
    contents=[":users", ":text"],
    {fields}
)
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    checkout = PantsCheckout(tmp_path_factory.mktemp("outputs") / "checkout", daemon=True)
    checkout.write("app/o/text.txt", "text\n")
    yield checkout
    checkout.stop()


def package(repository: PantsCheckout, fields: str) -> Path:
    repository.write("app/o/BUILD", _BUILD.format(fields=fields))
    repository.run("package", "app/o:image")
    return repository.root / "dist/app.o"


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_archive_and_layout_are_one_image(
    repository: PantsCheckout, tmp_path: Path, compression: str
) -> None:
    require("skopeo")
    dist = package(repository, f'formats=["tar", "oci"], compression="{compression}"')
    report = repository.report("app.o/image")
    suffix = {"none": ""}.get(compression, f"+{compression}")
    media_types = {layer["mediaType"] for layer in report["layers"]}
    assert media_types == {f"application/vnd.oci.image.layer.v1.tar{suffix}"}
    for tag in ("one", "two"):
        for source in (f"oci:{dist}/image.oci:{tag}", f"oci-archive:{dist}/image.tar:{tag}"):
            assert json.loads(run("skopeo", "inspect", source))["Digest"] == report["digest"]
            target = tmp_path / f"{tag}-{source.partition(':')[0]}"
            run("skopeo", "copy", "--insecure-policy", source, f"dir:{target}")


def test_layers_differ_by_compression_and_diff_ids_do_not(repository: PantsCheckout) -> None:
    package(repository, 'compression="gzip"')
    one = repository.report("app.o/image")
    package(repository, 'compression="zstd"')
    two = repository.report("app.o/image")
    assert [layer["diff_id"] for layer in one["layers"]] == [
        layer["diff_id"] for layer in two["layers"]
    ]
    assert not set(members_by_digest(one)) & set(members_by_digest(two))


def test_tag_defaults_to_a_hash_of_the_content(repository: PantsCheckout) -> None:
    repository.write("app/o/BUILD", _BUILD.format(fields="").replace('tags=["one", "two"],', ""))
    repository.run("package", "app/o:image")
    first = repository.report("app.o/image")
    assert first["references"] == [f"outputs:{first['digest'][7:39]}"]
    repository.write("app/o/text.txt", "changed\n")
    repository.run("package", "app/o:image")
    assert repository.report("app.o/image")["references"] != first["references"]


def test_now_is_the_time_of_the_build(repository: PantsCheckout) -> None:
    dist = package(repository, 'created="now", formats=["oci"]')
    report = repository.report("app.o/image")
    blob = dist / "image.oci/blobs" / report["config_digest"].replace(":", "/")
    assert json.loads(blob.read_text())["created"] > "2024"


def test_image_without_its_store_has_only_links(repository: PantsCheckout) -> None:
    repository.write("app/o/p.py", "def main():\n    pass\n")
    build = """
python_sources(resolve="app", interpreter_constraints=["CPython>=3.9,<3.13"])
pex_binary(name="p", entry_point="p.py:main", resolve="app",
           interpreter_constraints=["CPython>=3.9,<3.13"], complete_platforms=["app:platform"])
layered_image(name="image", contents=[":p", "app:os"], include_store={store})
"""
    names = {}
    for store in (True, False):
        repository.write("app/o/BUILD", build.format(store=store))
        repository.run("package", "app/o:image")
        layers = repository.report("app.o/image")["layers"]
        names[store] = {member["name"] for layer in layers for member in layer["members"]}
        last = layers[-1]["digest"]
    assert names[True] - names[False] == {"source:o"}
    assert last == repository.report("app.o/image")["layers"][-1]["digest"]


def _layer_times(archive: Path) -> Set[int]:
    with tarfile.open(archive) as image:
        text = image.extractfile("manifest.json")
        assert text is not None
        (manifest,) = json.load(text)
        times = set()
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                times |= {int(member.mtime) for member in layer}
        return times


def test_created_and_mtime_are_apart(repository: PantsCheckout) -> None:
    created = 'created="2001-02-03T04:05:06+01:00"'
    mtime = 'mtime="1999-12-31T23:59:59"'
    found = {}
    for name, fields in (("created", created), ("mtime", mtime), ("both", f"{created}, {mtime}")):
        dist = package(repository, f'{fields}, formats=["tar", "oci"]')
        report = repository.report("app.o/image")
        blob = dist / "image.oci/blobs" / report["config_digest"].replace(":", "/")
        layers = [layer["digest"] for layer in report["layers"]]
        time = json.loads(blob.read_text())["created"]
        found[name] = (layers, time, _layer_times(dist / "image.tar"))
    assert found["created"][1:] == ("2001-02-03T03:05:06Z", {1})
    assert found["mtime"][1:] == ("1970-01-01T00:00:01Z", {946684799})
    assert found["both"] == (found["mtime"][0], *found["created"][1:2], found["mtime"][2])
    assert not set(found["created"][0]) & set(found["mtime"][0])
