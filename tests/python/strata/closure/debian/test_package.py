"""Packages built by the real dpkg-deb are read as what they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Dict

import pytest

from strata.archive.entry import Entry, EntryType
from strata.archive.writer import ordered
from strata.closure.debian.package import read_package
from strata.errors import StrataError

_CONTROL = """Package: demo
Version: 1.0-1
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: a test
"""


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    if shutil.which("dpkg-deb") is None:
        if os.environ.get("STRATA_REQUIRE_TOOLS"):
            pytest.fail("needs dpkg-deb")
        pytest.skip("needs dpkg-deb")

    def make(fill: Callable[[Path], None], *options: str) -> Path:
        root = tmp_path / "root"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN/control").write_text(_CONTROL)
        fill(root)
        deb = tmp_path / "demo_1.0-1_all.deb"
        command = ["dpkg-deb", "--root-owner-group", *options, "--build", str(root), str(deb)]
        subprocess.run(command, check=True, capture_output=True)
        return deb

    return make


def read(deb: Path, tmp_path: Path) -> Dict[str, Entry]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    entries = read_package(deb, scratch, "demo")
    ordered(entries)
    return {entry.path: entry for entry in entries}


def put(root: Path, path: str, text: str = "x", mode: int = 0o644) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)
    return target


@pytest.mark.parametrize("compression", ["gzip", "xz", "none"])
def test_contents_modes_and_status(
    build: Callable[..., Path], tmp_path: Path, compression: str
) -> None:
    def fill(root: Path) -> None:
        put(root, "usr/bin/tool", "tool", 0o4755)
        (root / "var/tmp").mkdir(parents=True)
        (root / "var/tmp").chmod(0o1777)

    found = read(build(fill, f"-Z{compression}"), tmp_path)
    assert found["usr/bin/tool"].mode == 0o4755
    assert found["usr/bin/tool"].read() == b"tool"
    assert found["var/tmp"].mode == 0o1777
    assert "." not in found and "" not in found
    assert found["var/lib/dpkg/status.d/demo"].read().decode() == _CONTROL


def test_hard_links_point_at_the_first_name(build: Callable[..., Path], tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        first = put(root, "usr/bin/zz", "content")
        os.link(first, root / "usr/bin/mm")
        os.link(first, root / "usr/bin/aa")

    found = read(build(fill), tmp_path)
    assert found["usr/bin/aa"].type is EntryType.FILE
    assert found["usr/bin/aa"].read() == b"content"
    for name in ("mm", "zz"):
        entry = found[f"usr/bin/{name}"]
        assert (entry.type, entry.link, entry.size) == (EntryType.HARDLINK, "usr/bin/aa", 0)


def test_usr_is_merged(build: Callable[..., Path], tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        put(root, "bin/tool")
        put(root, "lib/x/real.so.1")
        (root / "lib/x/real.so").symlink_to("real.so.1")
        (root / "lib/x/data").symlink_to("../../usr/share/data")
        (root / "sbin").mkdir()
        (root / "sbin/absolute").symlink_to("/etc/x")
        put(root, "libexec/not-merged")

    found = read(build(fill), tmp_path)
    assert {"usr/bin/tool", "usr/lib/x/real.so.1", "libexec/not-merged"} <= set(found)
    assert not {"bin", "lib", "sbin"} & set(found)
    assert found["usr/lib/x/real.so"].link == "real.so.1"
    assert found["usr/lib/x/data"].link == "../../share/data"
    assert found["usr/sbin/absolute"].link == "/etc/x"


def test_a_link_to_what_becomes_itself_is_dropped(
    build: Callable[..., Path], tmp_path: Path
) -> None:
    def fill(root: Path) -> None:
        put(root, "usr/bin/tool", "real")
        (root / "bin").mkdir()
        (root / "bin/tool").symlink_to("/usr/bin/tool")
        put(root, "bin/other", "real too")
        (root / "usr/bin/other").symlink_to("../../bin/other")

    found = read(build(fill), tmp_path)
    assert found["usr/bin/tool"].read() == b"real"
    assert found["usr/bin/other"].read() == b"real too"


def test_two_files_at_one_path(build: Callable[..., Path], tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        put(root, "usr/bin/tool")
        put(root, "bin/tool")

    deb = build(fill)
    with pytest.raises(StrataError, match="debian:demo: .* two files at /usr/bin/tool"):
        read(deb, tmp_path)


def test_damaged_packages(build: Callable[..., Path], tmp_path: Path) -> None:
    deb = build(lambda root: put(root, "usr/bin/tool", "x" * 5000) and None)
    data = deb.read_bytes()
    deb.write_bytes(data[: len(data) - 100])
    with pytest.raises(StrataError, match="debian:demo: .* is damaged"):
        read(deb, tmp_path)
    deb.write_bytes(b"<html>not found</html>")
    with pytest.raises(StrataError, match="is not a Debian package; lock again"):
        read(deb, tmp_path)
    deb.write_bytes(b"!<arch>\n")
    with pytest.raises(StrataError, match="has no control.tar"):
        read(deb, tmp_path)
