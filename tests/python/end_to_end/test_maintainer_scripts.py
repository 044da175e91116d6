"""Maintainer scripts of Debian packages: a daemon that they set up, and the layer they leave."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

import pytest

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import free_port
from end_to_end.tools import require, require_root

#: Pants without its daemon takes its time on a busy machine.
_START_SECONDS = 400


@contextmanager
def serving(repository: PantsCheckout, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [str(repository.root / "pants"), "run-image", *options, "examples/configured:image"],
        cwd=repository.root,
        env={**os.environ, "PANTS_PANTSD": "False", "PANTS_CONCURRENT": "True"},
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answer(port: int, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                text: str = page.read().decode()
                return text
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, f"it ended with {process.returncode}"
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def configured(repository: PantsCheckout) -> int:
    """The port that the daemon of ``examples/configured`` listens on."""
    port = free_port()
    repository.replace("examples/configured/BUILD", "8080", str(port))
    repository.run("package", "examples/configured:image")
    return port


def test_maintainer_scripts_set_a_daemon_up(repository: PantsCheckout, configured: int) -> None:
    # Commands and run-image as they are for everybody; what is tested needs a usual machine.
    require_root()
    for runtime in ("namespace", "runc"):
        if runtime == "runc":
            require("runc")
        with serving(repository, f"--run-image-runtime={runtime}") as process:
            assert answer(configured, process) == "made by a script\n", runtime
            owners = {
                int(line.split()[1])
                for path in Path("/proc").glob("[0-9]*/status")
                for line in _lines(path)
                if line.startswith("Uid:") and "nginx" in _lines(path)[0]
            }
            assert 990 in owners


def _lines(path: Path) -> List[str]:
    try:
        return path.read_text().splitlines() or [""]
    except (FileNotFoundError, ProcessLookupError):
        return [""]


def test_configuration_is_a_layer_of_its_own(repository: PantsCheckout, configured: int) -> None:
    report = repository.report("examples.configured/image")
    layer = report["layers"][-2]
    assert layer["reason"] == "what the scripts of Debian packages changed"
    name = "blobs/sha256/" + layer["digest"].partition(":")[2]
    with tarfile.open(repository.archive("examples.configured/image")) as archive:
        file = archive.extractfile(name)
        assert file is not None
        with tarfile.open(fileobj=file) as members:
            contents = {
                path: members.extractfile(path).read().decode()  # type: ignore[union-attr]
                for path in ("etc/passwd", "etc/ssl/certs/ca-certificates.crt")
            }
            names = set(members.getnames())
            status = members.extractfile("var/lib/dpkg/status")
            assert status is not None
            states = [line for line in status.read().splitlines() if line.startswith(b"Status:")]
    assert "www-data:x:33:33" in contents["etc/passwd"]
    assert contents["etc/ssl/certs/ca-certificates.crt"].count("BEGIN CERTIFICATE") > 100
    assert set(states) == {b"Status: install ok installed"}
    assert not [path for path in names if path.endswith((".dpkg-new", "-old", "policy-rc.d"))]
    assert "var/lib/dpkg/.wh.status.d" in names
    # An edit of the image's own commands does not run the scripts again.
    repository.replace("examples/configured/BUILD", "made by a script", "made by another script")
    again = repository.run("package", "examples/configured:image").processes
    assert "Commands of examples/configured:image" in again
    assert not [name for name in again if name.startswith("Configure ")]


def test_what_the_scripts_make_cannot_be_declared_too(repository: PantsCheckout) -> None:
    text = (repository.root / "examples/configured/BUILD").read_text()
    users = 'image_users(name="users", users={"app": {"uid": 1000, "home": "/tmp"}})\n'
    repository.write("c/both/BUILD", users + text.replace('":os"', '":os", ":users"'))
    shutil.copy(
        repository.root / "examples/configured/debian.lock", repository.root / "c/both/debian.lock"
    )
    result = repository.run("package", "c/both:image", check=False)
    assert result.exit_code != 0
    assert "`configure` of c/both:image: it declares /etc/" in result.output
    assert "which the scripts of its Debian packages make too" in result.output
