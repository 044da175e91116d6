"""Fetching CPython 3.9 with the real uv, from a mirror on this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import sys
import sysconfig
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher_checkout import (  # pants: no-infer-dep
    UNREACHABLE_URL,  # pants: no-infer-dep
    Checkout,  # pants: no-infer-dep
    Wheelhouse,  # pants: no-infer-dep
    base_python,  # pants: no-infer-dep
)

# What uv replaces by the mirror's address.
_RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"
_RELEASE = "20240107/cpython-3.9.18-install_only.tar.gz"


@pytest.fixture
def bare(tmp_path: Path, wheelhouse_with_uv: Wheelhouse) -> Checkout:
    """A checkout on a machine with a Python 3, but no CPython 3.9 that the launcher could find."""
    checkout = Checkout.create(tmp_path)
    checkout.use(wheelhouse_with_uv)
    checkout.hide_python39(tmp_path / "bin")
    checkout.env["UV_HTTP_RETRIES"] = "0"
    return checkout


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of the interpreter releases, whose archive is this CPython 3.9 in their layout."""
    folder = tmp_path_factory.mktemp("mirror")
    archive = folder / _RELEASE
    archive.parent.mkdir()
    library = Path(sysconfig.get_path("stdlib"))
    left_out = {"test", "site-packages", "__pycache__", "idlelib", "lib2to3", "tkinter"}

    def keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = os.path.basename(entry.name)
        return None if name in left_out or name.startswith("config-3.9") else entry

    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(os.path.realpath(base_python()), "python/bin/python3.9")
        tar.add(library, "python/lib/python3.9", filter=keep)
    return folder


def catalogue(mirror: Path, folder: Path) -> Path:
    """uv's list of downloads with the mirror's archive alone."""
    system = os.uname()
    linux = system.sysname == "Linux"
    entry = {
        "name": "cpython",
        "arch": {
            "family": {"arm64": "aarch64"}.get(system.machine, system.machine),
            "variant": None,
        },
        "os": "linux" if linux else "darwin",
        "libc": "gnu" if linux else "none",
        "major": 3,
        "minor": 9,
        "patch": sys.version_info[2],
        "prerelease": "",
        "url": f"{_RELEASES}/{_RELEASE}",
        "sha256": hashlib.sha256((mirror / _RELEASE).read_bytes()).hexdigest(),
        "variant": None,
        "build": "20240107",
    }
    path = folder / "downloads.json"
    path.write_text(json.dumps({"cpython-3.9": entry}))
    return path


@pytest.fixture
def http_mirror(mirror: Path) -> Iterator[str]:
    """The mirror's address on the loopback interface."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(mirror))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("kind", ["http", "file"])
def test_interpreter_comes_from_the_mirror(
    bare: Checkout, mirror: Path, http_mirror: str, tmp_path: Path, kind: str
) -> None:
    bare.env["UV_PYTHON_INSTALL_MIRROR"] = http_mirror if kind == "http" else mirror.as_uri()
    bare.env["UV_PYTHON_DOWNLOADS_JSON_URL"] = str(catalogue(mirror, tmp_path))
    result = bare.run("--version")
    recorded = result.recorded()
    assert recorded.args == ["--version"]
    assert "fetching one" in result.err
    installed = bare.cache / "python"
    # Pants runs on the fetched interpreter's library, and can find the interpreter.
    assert any(Path(entry).is_relative_to(installed) for entry in recorded.path)
    entry = json.loads(recorded.env["PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH"])[-1]
    assert Path(entry).is_relative_to(installed)
    assert bare.run("--version").err == ""


def test_altered_interpreter_is_refused(bare: Checkout, mirror: Path, tmp_path: Path) -> None:
    path = catalogue(mirror, tmp_path)
    downloads = json.loads(path.read_text())
    downloads["cpython-3.9"]["sha256"] = "0" * 64
    path.write_text(json.dumps(downloads))
    bare.env["UV_PYTHON_INSTALL_MIRROR"] = mirror.as_uri()
    bare.env["UV_PYTHON_DOWNLOADS_JSON_URL"] = str(path)
    bare.run().failed_with(r"(?i)hash mismatch")
    assert bare.environments() == []


def test_message_when_nothing_helps(bare: Checkout, tmp_path: Path) -> None:
    shim = tmp_path / "bin/python3.9"
    shim.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    shim.chmod(0o755)
    bare.env["UV_PYTHON_INSTALL_MIRROR"] = UNREACHABLE_URL
    result = bare.run()
    result.failed_with(r"no CPython 3\.9, which Pants needs, was found")
    for part in (
        f"{shim} fails when it is run: no such version",
        "Fetching one failed as well: `uv python install` ended with",
        "install CPython 3.9",
        "set PANTS_PYTHON",
        "set UV_PYTHON_INSTALL_MIRROR",
    ):
        assert part in result.err


def test_message_when_uv_is_not_to_be_had(bare: Checkout) -> None:
    bare.lock("uv").write_text(f"uv==0.0.0.dev0 --hash=sha256:{'0' * 64}\n")
    result = bare.run()
    result.failed_with(r"Fetching one failed as well: installing the packages that .*uv\.lock")
    assert "set UV_PYTHON_INSTALL_MIRROR" in result.err
