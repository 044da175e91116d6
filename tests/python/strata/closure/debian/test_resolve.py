"""The resolver against a real, signed archive on this machine."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from strata.closure.debian.resolve import resolve
from strata.errors import StrataError

_PACKAGES: List[Dict[str, str]] = [
    {"Package": "app", "Depends": "libone (>= 1), mta | libtwo, virtual-thing"},
    {"Package": "libone", "Pre-Depends": "base", "Recommends": "extra"},
    {"Package": "libtwo"},
    {"Package": "thing", "Provides": "virtual-thing (= 1)"},
    {"Package": "base"},
    {"Package": "extra"},
    {"Package": "broken", "Depends": "missing"},
]


class Archive:
    """A Debian archive in a folder, signed with a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "archive"
        self.home = folder / "gpg"
        self.home.mkdir(mode=0o700)
        self._gpg("--quick-generate-key", "test@example.org", "default", "default", "never")
        self.keyring = folder / "key.gpg"
        self.keyring.write_bytes(self._gpg("--export", "test@example.org"))
        for architecture in ("amd64", "arm64"):
            self._write_packages(architecture)
        self.sign()

    def _gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--batch", "--yes", "--passphrase", "", "--homedir", str(self.home)]
        return subprocess.run([*command, *arguments], check=True, capture_output=True).stdout

    def close(self) -> None:
        """Ends the agent that gpg started."""
        command = ["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"]
        subprocess.run(command, check=True)

    def _write_packages(self, architecture: str) -> None:
        stanzas = []
        for fields in _PACKAGES:
            content = f"{fields['Package']} for {architecture}".encode()
            path = self.root / f"pool/{fields['Package']}_1_{architecture}.deb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            rest = {
                "Version": "1",
                "Architecture": architecture,
                "Maintainer": "x",
                "Installed-Size": "3",
                "Filename": f"pool/{path.name}",
                "Size": str(len(content)),
                "SHA256": hashlib.sha256(content).hexdigest(),
                "Description": "x",
            }
            stanzas.append("".join(f"{k}: {v}\n" for k, v in {**fields, **rest}.items()))
        folder = self.root / f"dists/test/main/binary-{architecture}"
        folder.mkdir(parents=True)
        (folder / "Packages").write_text("\n".join(stanzas))
        (folder / "Packages.gz").write_bytes(gzip.compress((folder / "Packages").read_bytes()))

    def sign(self) -> None:
        dists = self.root / "dists/test"
        rows = []
        for path in sorted(dists.rglob("Packages*")):
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            rows.append(f" {digest} {len(data)} {path.relative_to(dists)}\n")
        release = (
            "Origin: test\nSuite: test\nCodename: test\nArchitectures: amd64 arm64\n"
            "Components: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n" + "".join(rows)
        )
        (dists / "Release").write_text(release)
        inline = self._gpg("--clearsign", "-o", "-", str(dists / "Release"))
        (dists / "InRelease").write_bytes(inline)

    def spec(self, *packages: str, architecture: str = "amd64", **changes: Any) -> Dict[str, Any]:
        return {
            "packages": list(packages),
            "suites": ["test"],
            "components": ["main"],
            "architecture": architecture,
            "mirrors": {"test": [f"file:{self.root}"]},
            "keyring": str(self.keyring),
            "address": "x:os",
            **changes,
        }


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    for program in ("apt-get", "gpg"):
        if shutil.which(program) is None:
            if os.environ.get("STRATA_REQUIRE_TOOLS"):
                pytest.fail(f"needs {program}")
            pytest.skip(f"needs {program}")
    found = Archive(tmp_path_factory.mktemp("apt"))
    yield found
    found.close()


def test_closure_with_alternatives_and_virtual_packages(archive: Archive) -> None:
    lock = resolve(archive.spec("app"))
    depends = {package.name: package.depends for package in lock.packages}
    assert depends == {
        "app": ("libone", "libtwo", "thing"),
        "base": (),
        "libone": ("base",),
        "libtwo": (),
        "thing": (),
    }
    app = next(package for package in lock.packages if package.name == "app")
    content = b"app for amd64"
    assert (app.version, app.suite, app.path) == ("1", "test", "pool/app_1_amd64.deb")
    assert (app.size, app.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert app.installed_size == 3072
    assert lock.requested == ("app",)


def test_equal_archives_give_equal_locks(archive: Archive) -> None:
    assert resolve(archive.spec("app", "extra")) == resolve(archive.spec("extra", "app"))


def test_foreign_architecture(archive: Archive) -> None:
    lock = resolve(archive.spec("libone", architecture="arm64"))
    assert {package.path for package in lock.packages} == {
        "pool/libone_1_arm64.deb",
        "pool/base_1_arm64.deb",
    }


def test_unknown_package(archive: Archive) -> None:
    with pytest.raises(StrataError, match="(?s)cannot resolve nothing-like-it from test.*Unable"):
        resolve(archive.spec("nothing-like-it"))


def test_dependency_that_cannot_be_met(archive: Archive) -> None:
    with pytest.raises(StrataError, match="(?s)cannot resolve broken.*missing"):
        resolve(archive.spec("broken"))


def test_signature_of_another_key_is_refused(archive: Archive, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = Archive(other)
    stranger.close()
    with pytest.raises(
        StrataError, match="(?s)cannot fetch the suites test.*(NO_PUBKEY|signature)"
    ):
        resolve(archive.spec("app", keyring=str(stranger.keyring)))


def test_metadata_that_was_changed_after_signing_is_refused(
    archive: Archive, tmp_path: Path
) -> None:
    forged = Archive(tmp_path)
    forged.close()
    packages = forged.root / "dists/test/main/binary-amd64/Packages"
    packages.write_text(packages.read_text().replace("Version: 1", "Version: 6"))
    (packages.parent / "Packages.gz").unlink()
    with pytest.raises(StrataError, match="cannot fetch the suites test"):
        resolve(forged.spec("app"))


def test_suite_without_a_mirror(archive: Archive) -> None:
    with pytest.raises(StrataError, match="no mirror is known for the suite 'nowhere'"):
        resolve(archive.spec("app", suites=["nowhere"], mirrors={}))
