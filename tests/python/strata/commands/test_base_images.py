"""Base images in the forms that docker, podman and skopeo write."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import pytest

from strata.archive.compression import Compression, encoder
from strata.archive.entry import Entry, directory, symlink
from strata.archive.tar import END_OF_ARCHIVE, encode_header
from strata.commands import base, scan
from strata.errors import StrataError

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
LOWER = [directory("bin"), symlink("lib", "usr/lib"), Entry("usr/lib/x"), Entry("gone/x")]
UPPER = [Entry("etc/passwd"), Entry(".wh.gone"), Entry("bin/sh"), Entry("file"), Entry("lib/y")]
TOP = {
    "bin": "directory",
    "etc": "directory",
    "file": "other",
    "lib": "other",
    "usr": "directory",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def layer_bytes(entries: Sequence[Entry], compression: Compression) -> bytes:
    # By hand and not by write_layer: other tools leave out parents that a lower layer has.
    data = b"".join(encode_header(entry, 1) for entry in entries) + END_OF_ARCHIVE
    encode, finish = encoder(compression)
    return encode(memoryview(data)) + finish()


class Image:
    """The files of an image, to be packed in either form."""

    def __init__(
        self, compression: Compression = Compression.NONE, architecture: str = "amd64"
    ) -> None:
        self.plain = [layer_bytes(entries, Compression.NONE) for entries in (LOWER, UPPER)]
        self.layers = [layer_bytes(entries, compression) for entries in (LOWER, UPPER)]
        self.media_type = compression.media_type
        self.config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Env": ["A=1"]},
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [f"sha256:{sha256(data)}" for data in self.plain],
                },
                "history": [{"created_by": "them"}],
            }
        ).encode()

    def descriptor(self, media_type: str, data: bytes, **more: Any) -> Dict[str, Any]:
        digest = f"sha256:{sha256(data)}"
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    @property
    def manifest(self) -> bytes:
        config = self.descriptor("application/vnd.oci.image.config.v1+json", self.config)
        layers = [self.descriptor(self.media_type, data) for data in self.layers]
        data = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
        return json.dumps(data).encode()

    def layout(self) -> Dict[str, bytes]:
        blobs = [self.config, self.manifest, *self.layers]
        platform = {"architecture": json.loads(self.config)["architecture"], "os": "linux"}
        descriptor = self.descriptor(_MANIFEST, self.manifest, platform=platform)
        index = json.dumps({"schemaVersion": 2, "manifests": [descriptor]}).encode()
        return {"index.json": index, **{f"blobs/sha256/{sha256(b)}": b for b in blobs}}

    def docker(self) -> Dict[str, bytes]:
        names = [f"{index}/layer.tar" for index in range(len(self.layers))]
        manifest = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": names}]
        return {
            **dict(zip(names, self.layers)),
            "config.json": self.config,
            "manifest.json": json.dumps(manifest).encode(),
        }


def pack(
    folder: Path,
    files: Dict[str, bytes],
    prefix: str = "",
    mode: str = "w",
    links: "Sequence[Tuple[str, bytes, str]]" = (),
) -> Path:
    path = folder / "base.tar"
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind, target in links:
            member = tarfile.TarInfo(prefix + name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return path


def read(folder: Path, source: Path, architecture: str = "amd64") -> Dict[str, Any]:
    """All that is found out about a base: ``base.json`` and ``root.json``."""
    out = folder / "out"
    spec = {"source": str(source), "origin": "//base:image", "architecture": architecture}
    base.run(spec, out)
    found: Dict[str, Any] = json.loads((out / "base.json").read_text())
    blobs = [out / "blobs" / layer["digest"].replace(":", "/") for layer in found["layers"]]
    scan.run({"origin": "//base:image", "layers": [str(path) for path in blobs]}, out)
    found.update(json.loads((out / "root.json").read_text()))
    return found


# docker save writes no layers that are compressed with zstd.
@pytest.mark.parametrize(
    ("form", "compression"),
    [("docker", Compression.NONE), ("docker", Compression.GZIP)]
    + [("layout", compression) for compression in Compression],
)
@pytest.mark.parametrize("prefix", ["", "./"])
def test_layers_configuration_and_root(
    tmp_path: Path, form: str, compression: Compression, prefix: str
) -> None:
    image = Image(compression)
    files = image.layout() if form == "layout" else image.docker()
    found = read(tmp_path, pack(tmp_path, files, prefix))
    assert found["config"] == json.loads(image.config)
    assert found["top"] == TOP
    assert [layer["digest"] for layer in found["layers"]] == [
        f"sha256:{sha256(data)}" for data in image.layers
    ]
    assert [layer["diff_id"] for layer in found["layers"]] == [
        f"sha256:{sha256(data)}" for data in image.plain
    ]
    for layer, data in zip(found["layers"], image.layers):
        assert (layer["size"], layer["media_type"]) == (len(data), compression.media_type)
        blob = tmp_path / "out/blobs" / layer["digest"].replace(":", "/")
        assert blob.read_bytes() == data


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_compressed_archives(tmp_path: Path, mode: str) -> None:
    assert read(tmp_path, pack(tmp_path, Image().layout(), mode=mode))["top"] == TOP


@pytest.mark.parametrize(
    ("kind", "target"), [(tarfile.SYMTYPE, "../0/layer.tar"), (tarfile.LNKTYPE, "0/layer.tar")]
)
def test_layer_that_is_a_link_to_an_equal_one(tmp_path: Path, kind: bytes, target: str) -> None:
    image = Image()
    image.layers[1] = image.layers[0]
    config = json.loads(image.config)
    config["rootfs"]["diff_ids"] = [config["rootfs"]["diff_ids"][0]] * 2
    image.config = json.dumps(config).encode()
    files = image.docker()
    del files["1/layer.tar"]
    found = read(tmp_path, pack(tmp_path, files, links=[("1/layer.tar", kind, target)]))
    assert len({layer["digest"] for layer in found["layers"]}) == 1
    assert len(found["layers"]) == 2


def test_image_of_several_architectures(tmp_path: Path) -> None:
    images = {name: Image(architecture=name) for name in ("amd64", "arm64")}
    files: Dict[str, bytes] = {}
    descriptors: List[Dict[str, Any]] = []
    for image in images.values():
        layout = image.layout()
        descriptors += json.loads(layout.pop("index.json"))["manifests"]
        files.update(layout)
    # Builders add statements about an image beside it, for no architecture at all.
    attestation = dict(descriptors[0], platform={"architecture": "unknown", "os": "unknown"})
    inner = json.dumps({"mediaType": _INDEX, "manifests": [*descriptors, attestation]}).encode()
    files[f"blobs/sha256/{sha256(inner)}"] = inner
    outer = {"manifests": [images["amd64"].descriptor(_INDEX, inner)]}
    files["index.json"] = json.dumps(outer).encode()
    source = pack(tmp_path, files)
    assert read(tmp_path, source, "arm64")["config"]["architecture"] == "arm64"
    with pytest.raises(StrataError, match="has 0 images for riscv64 .*amd64, arm64, unknown"):
        read(tmp_path, source, "riscv64")


def test_one_image_with_two_tags_is_one_image(tmp_path: Path) -> None:
    files = Image().layout()
    index = json.loads(files["index.json"])
    index["manifests"] *= 2
    files["index.json"] = json.dumps(index).encode()
    assert len(read(tmp_path, pack(tmp_path, files))["layers"]) == 2


def test_wrong_architecture(tmp_path: Path) -> None:
    source = pack(tmp_path, Image(architecture="arm64").docker())
    with pytest.raises(StrataError, match="//base:image: it is for arm64, and the image is for am"):
        read(tmp_path, source)


def without(files: Dict[str, bytes], end: str) -> Dict[str, bytes]:
    return {name: data for name, data in files.items() if not name.endswith(end)}


def rejected(folder: Path, files: Dict[str, bytes], match: str) -> None:
    with pytest.raises(StrataError, match=f"^//base:image: .*{match}"):
        read(folder, pack(folder, files))


def test_archives_that_are_no_images(tmp_path: Path) -> None:
    image = Image()
    docker, layout = image.docker(), image.layout()
    rejected(tmp_path, {"a": b""}, "neither index.json nor manifest.json")
    rejected(tmp_path, without(docker, "config.json"), "config.json is missing")
    rejected(tmp_path, without(docker, "1/layer.tar"), "1/layer.tar is missing")
    rejected(tmp_path, {**docker, "manifest.json": b"{"}, "manifest.json is no JSON")
    rejected(tmp_path, {**docker, "manifest.json": b"[]"}, "it has 0 images")
    rejected(tmp_path, {**layout, "index.json": b"nonsense"}, "index.json is no JSON")
    rejected(tmp_path, {**layout, "index.json": b"[]"}, "index.json is no JSON object")
    rejected(tmp_path, {"index.json": b"{}"}, "it has 0 images for amd64 .all: none")


@pytest.mark.parametrize("which", ["manifest", "config", "layer"])
def test_blobs_that_are_missing_or_damaged(tmp_path: Path, which: str) -> None:
    image = Image()
    data = {"manifest": image.manifest, "config": image.config, "layer": image.layers[1]}[which]
    name = f"blobs/sha256/{sha256(data)}"
    other = tmp_path / "other"
    other.mkdir()
    rejected(tmp_path, without(image.layout(), name), f"{name} is missing")
    rejected(other, {**image.layout(), name: data + b" "}, f"{name} is damaged")


def test_layers_that_are_no_archives(tmp_path: Path) -> None:
    for index, data in enumerate((b"<html>", gzip.compress(b"x" * 600), b"\x1f\x8bnothing")):
        folder = tmp_path / str(index)
        folder.mkdir()
        image = Image()
        image.layers[0] = data
        rejected(folder, image.docker(), "the layer blobs/sha256/[0-9a-f]* is damaged")


def test_manifest_and_configuration_that_disagree(tmp_path: Path) -> None:
    image = Image()
    image.layers.pop()
    rejected(tmp_path, image.layout(), "disagree about its layers")


def test_what_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(b"PK\3\4 nothing of the kind")
    with pytest.raises(StrataError, match="//base:image: it cannot be read as a tar archive"):
        read(tmp_path, tmp_path / "base.tar")


@pytest.mark.parametrize(
    "name", ["blobs/../../escaped", "blobs/sha256/../../../escaped", "/blobs/x", "../escaped"]
)
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    files = {**Image().layout(), name: b"x"}
    assert read(tmp_path, pack(tmp_path, files))["top"] == TOP
    written = {p.relative_to(tmp_path / "out").parts[0] for p in (tmp_path / "out").rglob("*")}
    assert written == {"base.json", "blobs", "index.json", "root.json"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.tar", "out"]
    assert not (tmp_path.parent / "escaped").exists()
