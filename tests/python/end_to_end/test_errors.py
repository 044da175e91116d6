"""Bad input: the message names the target, the field and the way out, and nothing is written."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Iterator, Tuple

import pytest

from end_to_end.pants_checkout import PantsCheckout, failure
from end_to_end.tools import require

_IMAGE = 'layered_image(name="image", contents=[{contents}], {fields})\n'


def image(contents: str, fields: str = "") -> str:
    return _IMAGE.format(contents=contents, fields=fields)


_OS = 'debian_packages(name="os", packages=["media-types"], lock="{lock}")\n'
_LOCK = """\
format = 1
architecture = "amd64"
suites = ["bookworm"]
components = ["main"]
requested = ["media-types"]

[[package]]
name = "media-types"
version = "1.0"
architecture = "all"
suite = "bookworm"
path = "pool/media-types_1.0_all.deb"
size = 4
sha256 = "{sha256}"
installed_size = 4
depends = []
"""
_SHA256_OF_GOOD = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"


def test_missing_lock(repository: PantsCheckout) -> None:
    output = failure(repository, "e/nolock", _OS.format(lock="os.lock") + image('":os"'))
    assert "`lock` of e/nolock:os: there is no lock file at e/nolock/os.lock" in output
    assert "run `pants generate-debian-lockfiles e/nolock:os`" in output


def test_stale_lock(repository: PantsCheckout) -> None:
    build = _OS.format(lock="os.lock").replace('"media-types"', '"media-types", "libc6"')
    lock = _LOCK.format(sha256="0" * 64)
    output = failure(repository, "e/stale", build + image('":os"'), **{"os.lock": lock})
    assert "`lock` of e/stale:os: e/stale/os.lock is out of date" in output
    assert "generate-debian-lockfiles e/stale:os" in output


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    """A mirror on loopback that has one file, with the content ``evil``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith("/has/")
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b"evil" if found else b"")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the server's log is of no interest."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def mirror_option(url: str) -> str:
    return f"--layered-images-debian-mirrors={{'bookworm': ['{url}']}}"


def test_package_gone_from_the_mirror(repository: PantsCheckout, mirror: str) -> None:
    lock = _LOCK.format(sha256=_SHA256_OF_GOOD)
    build = _OS.format(lock="os.lock") + image('":os"')
    option = mirror_option(f"{mirror}/gone")
    output = failure(repository, "e/gone", build, option, **{"os.lock": lock})
    assert "`lock` of e/gone:os: media-types 1.0 cannot be fetched" in output
    assert "404" in output
    assert "generate-debian-lockfiles e/gone:os" in output


def test_checksum_mismatch(repository: PantsCheckout, mirror: str) -> None:
    lock = _LOCK.format(sha256=_SHA256_OF_GOOD)
    build = _OS.format(lock="os.lock") + image('":os"')
    output = failure(
        repository, "e/checksum", build, mirror_option(f"{mirror}/has"), **{"os.lock": lock}
    )
    assert "`lock` of e/checksum:os: media-types 1.0 cannot be fetched" in output
    assert _SHA256_OF_GOOD in output
    assert "generate-debian-lockfiles e/checksum:os" in output


def test_interpreter_that_does_not_satisfy_the_pex(repository: PantsCheckout) -> None:
    build = (
        'python_sources(resolve="app", interpreter_constraints=["CPython==3.9.*"])\n'
        'pex_binary(name="p", entry_point="p.py", resolve="app", '
        'interpreter_constraints=["CPython==3.9.*"])\n'
    )
    output = failure(
        repository, "app/old", build + image('":p", "app:os"'), **{"p.py": "print(1)\n"}
    )
    assert "app/old:p: interpreter_constraints of app/old/p.py" in output
    assert "CPython 3.11" in output and "CPython==3.9.*" in output


def test_wheel_for_the_wrong_platform(repository: PantsCheckout) -> None:
    constraints = 'interpreter_constraints=["CPython>=3.9,<3.13"]'
    build = (
        f'python_sources(resolve="app", {constraints})\n'
        f'pex_binary(name="p", entry_point="p.py", resolve="app", {constraints}, '
        'complete_platforms=[":platform"])\n'
        'file(name="platform", source="platform.json")\n'
    )
    platform = (repository.root / "app/debian12_python311_x86_64.json").read_text()
    other = platform.replace("cp311", "cp310").replace('"3.11', '"3.10')
    output = failure(
        repository,
        "app/wrong",
        build + image('":p", "app:os"'),
        **{"p.py": "import numpy\n", "platform.json": other},
    )
    assert "app/wrong:p: the wheel numpy-2.0.2-cp310-cp310" in output
    assert "does not fit the image: its interpreter is CPython 3.11 (cp311)" in output
    assert "complete_platforms" in output


_FILES = (
    'files(name="a", sources=["a.txt"])\n'
    'files(name="b", sources=["b.txt"])\n'
    'image_files(name="one", files=[":a"], destination="/etc/x")\n'
)


def test_collision_names_both_owners_and_the_path(repository: PantsCheckout) -> None:
    build = _FILES + (
        'files(name="c", sources=["sub/a.txt"])\n'
        'image_files(name="two", files=[":c"], destination="/etc/x", strip_prefix="e/clash/sub")\n'
    )
    files = {"a.txt": "a", "b.txt": "b", "sub/a.txt": "other"}
    output = failure(repository, "e/clash", build + image('":one", ":two"'), **files)
    assert "e/clash:image: files:one and files:two both contain /etc/x/a.txt" in output
    assert 'omit_paths={"files:two": ["etc/x/a.txt"]}' in output


def test_omitted_path_settles_a_collision(repository: PantsCheckout) -> None:
    build = _FILES + (
        'files(name="c", sources=["sub/a.txt"])\n'
        'image_files(name="two", files=[":c"], destination="/etc/x", strip_prefix="e/won/sub")\n'
    )
    for name in ("a.txt", "b.txt", "sub/a.txt"):
        repository.write(f"e/won/{name}", name)
    # An object that loses its only file is still an object of the image.
    fields = 'omit_paths={"files:two": ["etc/x/a.txt"]}'
    repository.write("e/won/BUILD", build + image('":one", ":two"', fields))
    repository.run("package", "e/won:image")
    assert (repository.root / "dist/e.won/image.tar").exists()


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        (
            'config={"Entrypont": ["/x"]}',
            ("`config` field in target e/fields:image", "'Entrypont'", "did you mean 'Entrypoint'"),
        ),
        ('config={"Env": ["PATH"]}', ("`config` field", "'NAME=value'")),
        ('config={"ExposedPorts": ["99999"]}', ("`config` field", "'8080/tcp'")),
        (
            'config={"Entrypoint": [":nothing"]}',
            ("e/fields:nothing", "`config` field of e/fields:image"),
        ),
        (
            "max_layers=2, contents_of_os=1",
            ("contents_of_os",),
        ),
        ("max_layers=1", ("`max_layers` field", "from 2 to 125")),
        ("max_layers=126", ("`max_layers` field", "from 2 to 125")),
        ("uid=-1", ("`uid` field", "from 0 to 4294967294")),
        ('uname="no name"', ("`uname` field", "a name such as 'app'", "'no name'")),
        ('gname="1st"', ("`gname` field", "a name such as 'app'")),
        ('mtime="noon"', ("`mtime` field", "ISO 8601")),
        ('architecture="x86"', ("'architecture' field", "amd64")),
        ('variant="v9"', ("`variant` of e/fields:image", "no variant 'v9'", "v1, v2")),
        ('archive_compression="xz"', ("'archive_compression' field", "gzip")),
        ('base=":image"', ("`base` of e/fields:image", "break the circle")),
        # Another name than above: Pants remembers who asked for an address first.
        ('base=":absent"', ("`base` field of e/fields:image", "e/fields:absent")),
        ('base=":one"', ("`base` of e/fields:image", "is no base: name a layered_image")),
        ('interpreter="python3"', ("`interpreter` field", "the path and the version")),
        ('image_name="UPPER/name space"', ("`image_name` field", "is not an image name")),
        ('tags=["bad tag"]', ("`tags` field", "is not a tag")),
        ('created="yesterday"', ("`created` field", "ISO 8601")),
        ('compression="bzip2"', ("compression", "gzip", "zstd")),
        ('formats=["zip"]', ("`formats` field", "'tar' and 'oci'")),
        ('layering="best"', ("`layering` field", "stable")),
        ('layering=[["limit_layers"]]', ("`layering` field", "layering[0]", "takes count")),
        (
            'layering=[["split_paths", ["x"]], ["over", "main", ["limit_layers", 0]]]',
            ("`layering` field", "layering[1] (over): step (limit_layers): count must be", "not 0"),
        ),
        (
            'layering=[["limit_layers", 3]]',
            ("`layering` of e/fields:image", "layering[0] (limit_layers) needs a list"),
        ),
        (
            'layer_groups={"g": ["python:none"]}',
            ("`layer_groups` of e/fields:image", "'python:none'", "no object"),
        ),
        ('omit_paths={"python:x": ["y"]}', ("`omit_paths`", "'python:x' matches no object")),
        ('omit_paths={"files:one": ["y"]}', ("omit_paths", "'y' matches no path of files:one")),
        ('owners=[{"paths": "nope/*", "uid": 1}]', ("`owners`", "matches no path")),
        ('owners=[{"paths": "x", "mode": "9"}]', ("`owners` field", "octal")),
        ('owners=[{"paths": "x", "capabilities": "cap_x+ep"}]', ("`owners` field", "cap_x")),
        ('base=":a"', ("`base` of e/fields:image", "tar archive")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_fields(repository: PantsCheckout, fields: str, messages: Tuple[str, ...]) -> None:
    files = {"a.txt": "a", "b.txt": "b"}
    output = failure(repository, "e/fields", _FILES + image('":one"', fields), **files)
    assert "e/fields" in output
    for message in messages:
        assert message in output


def test_max_layers_too_small(repository: PantsCheckout) -> None:
    files = {"a.txt": "a", "b.txt": "b"}
    fields = 'max_layers=2, layer_groups={"g": ["files:one"]}'
    output = failure(
        repository, "e/layers", _FILES + image('":one", "app:certificates"', fields), **files
    )
    assert "`max_layers` of e/layers:image: max_layers=2 is too small" in output
    assert "this image needs at least 3" in output
    assert "set max_layers=3 or more" in output


def test_address_that_is_not_packageable(repository: PantsCheckout) -> None:
    build = 'python_sources(name="library")\n' + image('":library"')
    output = failure(repository, "app/what", build, **{"x.py": "x = 1\n"})
    assert "`contents` of app/what:image: app/what/x.py:library" in output
    assert "cannot be put into an image" in output


def test_paths_longer_than_a_tar_header_can_hold_are_fine(repository: PantsCheckout) -> None:
    folder = "/".join(["d" * 200] * 3)
    repository.write(f"e/names/{folder}/f", "x")
    build = 'files(name="f", sources=["**/f"])\nimage_files(name="i", files=[":f"])\n'
    repository.write("e/names/BUILD", build + image('":i"'))
    repository.run("package", "e/names:image")
    with tarfile.open(repository.root / "dist/e.names/image.tar") as archive:
        text = archive.extractfile("manifest.json")
        assert text is not None
        (manifest,) = json.load(text)
        layer = archive.extractfile(manifest["Layers"][0])
        with tarfile.open(fileobj=layer) as entries:
            assert f"{folder}/f" in entries.getnames()


def test_file_name_that_cannot_be_stored(repository: PantsCheckout, tmp_path: Path) -> None:
    require("dpkg-deb")
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    control = "Package: odd\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    (root / "DEBIAN/control").write_text(control)
    (root / "usr").mkdir()
    Path(os.fsdecode(os.fsencode(root / "usr") + b"/caf\xe9")).write_text("x")
    deb = tmp_path / "mirror" / "odd.deb"
    deb.parent.mkdir()
    subprocess.run(["dpkg-deb", "--build", str(root), str(deb)], check=True, capture_output=True)
    data = deb.read_bytes()
    lock = _LOCK.format(sha256=hashlib.sha256(data).hexdigest())
    lock = lock.replace("media-types", "odd").replace("size = 4\n", f"size = {len(data)}\n", 1)
    lock = lock.replace("pool/odd_1.0_all.deb", "odd.deb")
    build = 'debian_packages(name="os", packages=["odd"], lock="os.lock")\n' + image('":os"')
    option = mirror_option(f"file://{deb.parent}")
    output = failure(repository, "e/odd", build, option, **{"os.lock": lock})
    assert "e/odd:image: debian:odd: the file name b'usr/caf\\xe9' is not valid UTF-8" in output
    assert "rename the file" in output
