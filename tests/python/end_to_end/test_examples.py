"""Every example is built and run."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from pathlib import Path
from typing import List

import pytest

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import run
from end_to_end.tools import require, require_root


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> PantsCheckout:
    checkout = PantsCheckout(tmp_path_factory.mktemp("examples") / "checkout")
    checkout.run("package", "examples::")
    return checkout


def unpack(archive: Path, folder: Path) -> Path:
    """The image's root, unpacked layer by layer by GNU tar."""
    layout = folder / "layout"
    layout.mkdir()
    run("tar", "-xf", str(archive), "-C", str(layout))
    (manifest,) = json.loads((layout / "manifest.json").read_text())
    root = folder / "root"
    root.mkdir()
    for layer in manifest["Layers"]:
        run("tar", "--numeric-owner", "-xf", str(layout / layer), "-C", str(root))
    return root


def in_root(root: Path, *command: str) -> List[str]:
    process = subprocess.run(
        ["chroot", str(root), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        check=False,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout.splitlines()


def test_distribution(examples: PantsCheckout, tmp_path: Path) -> None:
    require_root()
    require("chroot")
    archive = examples.archive("examples.distribution.program/image")
    root = unpack(archive, tmp_path)
    # First-party code, a resource of a distribution, its metadata and a loose file.
    assert in_root(root, "/opt/app/main/bin/main", "Strata") == [
        "Hello, Strata!",
        "1.0",
        "A loose file.",
    ]
    assert in_root(root, "/opt/app/main/bin/greet") == ["Hello, script!"]
    assert (root / "etc/example/notes.txt").read_text() == "A loose file.\n"
    assert (root / "examples/distribution/program/notes.txt").exists()
    documents = root / "opt/app/documents/documents.tar.gz"
    assert in_root(root, "/bin/tar", "-tf", f"/{documents.relative_to(root)}", "--version")


def test_minimal(examples: PantsCheckout, tmp_path: Path) -> None:
    require_root()
    require("chroot")
    root = unpack(examples.archive("examples.minimal/image"), tmp_path)
    app = ("/bin/busybox", "su", "app", "-c")
    # #!/usr/bin/env, sh and the names of users and groups, all of them declared.
    assert in_root(root, *app, "/bin/greet.sh") == ["Hello from app, of app media"]
    assert in_root(root, *app, "busybox touch /tmp/x && busybox ls -A /tmp") == ["x"]
    bundles = ("etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/ca-bundle.crt")
    for path in (*bundles, "etc/pki/tls/certs/ca-bundle.crt"):
        assert in_root(root, "/bin/busybox", "head", "-1", f"/{path}") == [
            "-----BEGIN CERTIFICATE-----"
        ]


def test_base(examples: PantsCheckout, tmp_path: Path) -> None:
    require_root()
    require("chroot", "gzip")
    platform = examples.report("examples.base/platform")
    image = examples.report("examples.base/image")
    below = [layer["digest"] for layer in platform["layers"]]
    assert [layer["digest"] for layer in image["layers"]][: len(below)] == below
    compressed = examples.root / "dist/examples.base/image.tar.gz"
    plain = tmp_path / "image.tar"
    plain.write_bytes(subprocess.run(["gzip", "-dc", str(compressed)], stdout=-1).stdout)
    root = unpack(plain, tmp_path)
    assert (root / "opt/app/batch/pyvenv.cfg").stat().st_uid == 1000
    picture = root / "tmp/no.png"
    picture.write_text("no picture")
    process = subprocess.run(
        ["chroot", str(root), "/opt/app/batch/bin/batch", "/tmp/no.png"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "not an image that can be read" in process.stderr


def test_merged_images_hold_what_they_share_once(examples: PantsCheckout, tmp_path: Path) -> None:
    require("skopeo")
    archive = examples.archive("examples.base/both")
    reports = [examples.report(f"examples.base/{name}") for name in ("platform", "image")]
    with tarfile.open(archive) as members:
        names = members.getnames()
        text = members.extractfile("manifest.json")
        assert text is not None
        manifests = json.load(text)
    assert len(names) == len(set(names))
    assert [row["RepoTags"] for row in manifests] == [r["references"] for r in reports]
    for report in reports:
        tag = report["references"][0].rpartition(":")[2]
        found = json.loads(run("skopeo", "inspect", f"oci-archive:{archive}:{tag}"))
        assert found["Digest"] == report["digest"]


def test_root_of_an_image_is_what_its_layers_unpack_to(
    examples: PantsCheckout, tmp_path: Path
) -> None:
    require_root()
    require("gzip", "diff")
    compressed = (examples.root / "dist/examples.base/image.tar.gz").read_bytes()
    plain = tmp_path / "image.tar"
    plain.write_bytes(gzip.decompress(compressed))
    expected = unpack(plain, tmp_path)
    found = tmp_path / "found"
    found.mkdir()
    run(
        "tar",
        "--numeric-owner",
        "-xf",
        str(examples.archive("examples.base/root")),
        "-C",
        str(found),
    )
    run("diff", "-r", "--no-dereference", str(expected), str(found))
    for path in ("usr/bin/python3.11", "tmp", "opt/app/batch/pyvenv.cfg"):
        one, two = (expected / path).lstat(), (found / path).lstat()
        assert (one.st_mode, one.st_uid, one.st_gid) == (two.st_mode, two.st_uid, two.st_gid)
