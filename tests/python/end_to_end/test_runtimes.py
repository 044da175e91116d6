"""The demo image loads and runs in real runtimes, and digests agree in all of them."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path

import pytest

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import Docker, Fetch, Podman, run, runc, unpack_with_umoci
from end_to_end.tools import require, require_root


def orange_png() -> bytes:
    """A picture of 40 × 20 orange pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\xff\x80\x00" * 40 for _ in range(20))
    header = struct.pack(">IIBBBBB", 40, 20, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def check_service(fetch: Fetch) -> None:
    assert json.loads(fetch("/healthz", None)) == {"status": "ok"}
    assert b"<h1>Image statistics</h1>" in fetch("/", None)
    answer = json.loads(fetch("/v1/statistics", orange_png()))
    assert (answer["width"], answer["dominant_colour"]) == (40, "#ff8000")


@pytest.mark.parametrize("rootless", [False, True], ids=["root", "rootless"])
def test_runs_under_runc_with_a_read_only_root(
    built: PantsCheckout, tmp_path: Path, rootless: bool
) -> None:
    require("runc", "umoci", "setpriv")
    require_root()
    with runc(built.archive("app/image"), tmp_path, rootless) as fetch:
        check_service(fetch)


def test_runs_under_podman(built: PantsCheckout, podman: Podman) -> None:
    report = built.report("app/image")
    assert f"sha256:{podman.load(built.archive('app/image'))}" == report["config_digest"]
    with podman.started() as fetch:
        check_service(fetch)


def test_runs_under_a_docker_engine(built: PantsCheckout, docker: Docker) -> None:
    report = built.report("app/image")
    assert docker.load(built.archive("app/image")) == report["config_digest"]
    with docker.started() as fetch:
        check_service(fetch)


def test_skopeo_reads_it_as_both_kinds_of_archive(built: PantsCheckout, tmp_path: Path) -> None:
    require("skopeo")
    report = built.report("app/image")
    archive = built.archive("app/image")
    raw = run("skopeo", "inspect", "--raw", f"oci-archive:{archive}")
    assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == report["digest"]
    configuration = run("skopeo", "inspect", "--config", "--raw", f"docker-archive:{archive}")
    digest = hashlib.sha256(configuration.encode()).hexdigest()
    assert f"sha256:{digest}" == report["config_digest"]
    # Copying reads every layer and checks its digest.
    for kind in ("oci-archive", "docker-archive"):
        target = f"dir:{tmp_path / kind}"
        run("skopeo", "copy", "--insecure-policy", f"{kind}:{archive}", target)
    copied = json.loads((tmp_path / "oci-archive/manifest.json").read_text())
    assert [layer["digest"] for layer in copied["layers"]] == [
        layer["digest"] for layer in report["layers"]
    ]
    # What a docker archive's reader sees of compressed layers is what is in them.
    copied = json.loads((tmp_path / "docker-archive/manifest.json").read_text())
    assert [layer["digest"] for layer in copied["layers"]] == [
        layer["diff_id"] for layer in report["layers"]
    ]


def test_umoci_unpacks_it(built: PantsCheckout, tmp_path: Path) -> None:
    require("umoci")
    require_root()
    bundle = unpack_with_umoci(built.archive("app/image"), tmp_path)
    config = json.loads((bundle / "config.json").read_text())
    assert config["process"]["args"] == ["/opt/app/server/bin/server"]
    assert (config["process"]["user"]["uid"], config["process"]["user"]["gid"]) == (1000, 1000)
    root = bundle / "rootfs"
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "bin").readlink() == Path("usr/bin")
    assert "app:x:1000:1000" in (root / "etc/passwd").read_text()
    assert "BEGIN CERTIFICATE" in (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert "Package: libc6" in (root / "var/lib/dpkg/status.d/libc6").read_text()


def test_streamed_archive_is_the_packaged_one(built: PantsCheckout) -> None:
    streamed = built.stream("run", "app:image")
    assert (
        hashlib.sha256(streamed).digest()
        == hashlib.sha256(built.archive("app/image").read_bytes()).digest()
    )
