"""Packages built by the real dpkg-deb are read as what they are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import resource
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Callable, Dict, List, NoReturn, Tuple

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


def lacks(what: str) -> NoReturn:
    if os.environ.get("STRATA_REQUIRE_TOOLS"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    if shutil.which("dpkg-deb") is None:
        lacks("dpkg-deb")

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


def read(deb: Path, tmp_path: Path, package: str = "demo") -> Dict[str, Entry]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    entries = read_package(deb, scratch, package)
    ordered(entries)
    return {entry.path: entry for entry in entries}


def put(root: Path, path: str, text: str = "x", mode: int = 0o644) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)
    return target


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "none"])
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
    with pytest.raises(StrataError, match=r"debian:demo: .* is damaged \(it ends within data"):
        read(deb, tmp_path)
    deb.write_bytes(b"<html>not found</html>")
    with pytest.raises(StrataError, match="is not a Debian package; lock again"):
        read(deb, tmp_path)
    deb.write_bytes(b"!<arch>\n")
    with pytest.raises(StrataError, match="has no control.tar"):
        read(deb, tmp_path)


Member = Tuple[str, Dict[str, Any], bytes]
_CONTROL_MEMBER: Member = ("./control", {}, _CONTROL.encode())


def tar(*members: Member, format: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, attributes, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def ar(*members: Tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, content in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def deb_of(
    tmp_path: Path, data: bytes, name: str = "data.tar", control: bytes = tar(_CONTROL_MEMBER)
) -> Path:
    deb = tmp_path / "demo.deb"
    deb.write_bytes(ar(("debian-binary", b"2.0\n"), ("control.tar", control), (name, data)))
    return deb


def zstd(*parts: bytes) -> bytes:
    try:
        import zstandard
    except ImportError:
        lacks("the zstandard library")
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    return b"".join(compressor.compress(part) for part in parts)


_COMPRESSORS: Dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bz2": bz2.compress,
    "zst": zstd,
}


@pytest.mark.parametrize("suffix", sorted(_COMPRESSORS))
def test_compressions(tmp_path: Path, suffix: str) -> None:
    compress = _COMPRESSORS[suffix]
    content = os.urandom(1 << 20) + bytes(5 << 20)
    data = tar(("./usr/bin/tool", {}, content))
    half = len(data) // 2
    packed = [compress(data)]
    if suffix != "lzma":
        # As parallel compressors write it. Files of the older format hold one stream.
        packed.append(compress(data[:half]) + compress(data[half:]))
    for one in packed:
        found = read(deb_of(tmp_path, one, f"data.tar.{suffix}"), tmp_path)
        assert found["usr/bin/tool"].read() == content


@pytest.mark.parametrize("suffix", sorted(_COMPRESSORS))
def test_damaged_data(tmp_path: Path, suffix: str) -> None:
    data = tar(("./a", {}, os.urandom(5000)), ("./b", {}, os.urandom(5000)))
    packed = _COMPRESSORS[suffix](data)
    middle = len(packed) // 2
    broken = packed[:middle] + bytes(64) + packed[middle + 64 :]
    for bad in (packed[:-2000], packed[: len(packed) // 3], b"garbage" * 9, b"", broken):
        deb = deb_of(tmp_path, bad, f"data.tar.{suffix}")
        if bad == broken and suffix == "lzma":
            continue  # That format has no checksum.
        with pytest.raises(StrataError, match=r"debian:demo: demo\.deb is damaged \("):
            read(deb, tmp_path)


@pytest.mark.parametrize("suffix", ["bz2", "gz", "xz"])
def test_checksum_of_the_data_is_wanted(tmp_path: Path, suffix: str) -> None:
    packed = _COMPRESSORS[suffix](tar(("./a", {}, b"a")))
    with pytest.raises(StrataError, match="is damaged .*ends early"):
        read(deb_of(tmp_path, packed[:-4], f"data.tar.{suffix}"), tmp_path)


@pytest.mark.parametrize("left", [0, 1, 511, 512, 1024, 1536, 3000])
def test_tar_that_ends_early(tmp_path: Path, left: int) -> None:
    data = tar(("./a", {}, b"a" * 500), ("./b", {}, b"b" * 500))
    with pytest.raises(StrataError, match="is damaged"):
        read(deb_of(tmp_path, data[: min(left, 2047)]), tmp_path)


def test_malformed_archives(tmp_path: Path) -> None:
    data, control = tar(("./a", {}, b"a")), tar(_CONTROL_MEMBER)
    good = deb_of(tmp_path, data).read_bytes()
    cases: List[Tuple[bytes, str]] = [
        (good[:8] + b"x" * 60, "malformed member header"),
        (good + b"y" * 30, "malformed member header"),
        (ar(("debian-binary", b"3.0\n"), ("control.tar", control)), "format other than 2.x"),
        (ar(("control.tar", control)), "has no data.tar"),
        (ar(("control.tar", control), ("data.tar.lz4", data)), "data.tar.lz4 is not supported"),
        (ar(("control.tar", tar(("./md5sums", {}, b""))), ("data.tar", data)), "no control file"),
    ]
    for content, message in cases:
        deb = tmp_path / "demo.deb"
        deb.write_bytes(content)
        with pytest.raises(StrataError, match=f"^debian:demo: .*{message}"):
            read(deb, tmp_path)


def test_zstd_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deb = deb_of(tmp_path, zstd(tar(("./a", {}, b"a"))), "data.tar.zst")
    modules: Any = sys.modules
    monkeypatch.setitem(modules, "zstandard", None)
    with pytest.raises(StrataError, match="the zstandard library is not available"):
        read(deb, tmp_path)


def test_hard_links_of_a_tar(tmp_path: Path) -> None:
    def link(name: str, target: str) -> Member:
        return name, {"type": tarfile.LNKTYPE, "linkname": target}, b""

    file: Member = ("./bin/zz", {"mode": 0o4755, "uid": 7, "gid": 8}, b"content")
    chain = tar(file, link("./usr/bin/mm", "./bin/zz"), link("./bin/aa", "./usr/bin/mm"))
    found = read(deb_of(tmp_path, chain), tmp_path)
    first = found["usr/bin/aa"]
    assert (first.type, first.read(), first.mode) == (EntryType.FILE, b"content", 0o4755)
    assert (first.uid, first.gid) == (7, 8)
    assert {found[f"usr/bin/{name}"].link for name in ("mm", "zz")} == {"usr/bin/aa"}
    directory: Member = ("./d", {"type": tarfile.DIRTYPE}, b"")
    for members in (
        [link("./a", "./nowhere")],
        [link("./a", "./b"), link("./b", "./a")],
        [directory, link("./a", "./d")],
    ):
        with pytest.raises(StrataError, match="is a hard link to /.*, which is no file of the pac"):
            read(deb_of(tmp_path, tar(*members)), tmp_path)


def test_owners_devices_attributes_and_long_names(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    value = capability.decode("utf-8", "surrogateescape")
    long = "usr/share/" + "/".join(["x" * 100] * 4) + "/\N{SNOWMAN}"
    data = tar(
        ("./usr/bin/ping", {"pax_headers": {"SCHILY.xattr.security.capability": value}}, b"p"),
        ("./dev/null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, b""),
        ("./run/pipe", {"type": tarfile.FIFOTYPE, "mode": 0o600}, b""),
        (f"./{long}", {"uid": 3000000, "gid": 5}, b"long"),
        format=tarfile.PAX_FORMAT,
    )
    found = read(deb_of(tmp_path, data), tmp_path)
    assert found["usr/bin/ping"].xattrs == {"security.capability": capability}
    assert (found["dev/null"].type, found["dev/null"].device) == (
        EntryType.CHARACTER_DEVICE,
        (1, 3),
    )
    assert (found["run/pipe"].type, found["run/pipe"].mode) == (EntryType.FIFO, 0o600)
    assert (found[long].read(), found[long].uid, found[long].gid) == (b"long", 3000000, 5)


def test_memory_does_not_grow_with_the_package(tmp_path: Path) -> None:
    """Not even with data that packs as well as zeros do."""
    path = tmp_path / "big.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("./usr/big")
        info.size = 160 << 20
        with open("/dev/zero", "rb") as zeros:
            archive.addfile(info, zeros)
    for suffix in ("xz", "gz", "zst"):
        packed = path.read_bytes()
        deb = deb_of(tmp_path, _COMPRESSORS[suffix](packed), f"data.tar.{suffix}")
        del packed
        child = os.fork()
        if child == 0:
            status = 1
            try:
                resource.setrlimit(resource.RLIMIT_AS, (_address_space() + (48 << 20),) * 2)
                found = read(deb, tmp_path)
                status = 0 if found["usr/big"].size == 160 << 20 else 1
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, suffix


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


@pytest.mark.parametrize(
    "package", ["libc6", "python3.11-minimal", "base-files", "ca-certificates"]
)
def test_real_packages_hold_what_dpkg_lists(tmp_path: Path, package: str) -> None:
    """Needs a mirror in the machine's apt configuration that has the package."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            lacks(program)
    command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=", package]
    if subprocess.run(command, cwd=tmp_path, capture_output=True).returncode:
        lacks(f"a mirror with {package}")
    deb = next(tmp_path.glob("*.deb"))
    found = read(deb, tmp_path, package)
    listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True)
    expected = set()
    with tarfile.open(fileobj=io.BytesIO(listed.stdout)) as archive:
        for member in archive:
            name = member.name[2:]
            top = name.partition("/")[0]
            path = f"usr/{name}" if top in ("bin", "lib", "lib64", "sbin") else name
            if path:
                expected.add(path)
            if member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                assert found[path].read() == content.read()
                assert found[path].mode == member.mode
    status = f"var/lib/dpkg/status.d/{package}"
    assert set(found) - {status, f"{status}.md5sums"} == expected
    assert found[status].read().startswith(f"Package: {package}\n".encode())
