"""The resolver against real, signed archives on this machine."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence
from urllib.parse import urlsplit

import pytest

from strata.closure.debian.apt import Apt
from strata.closure.debian.lock import parse_locks, render_locks
from strata.closure.debian.resolve import resolve
from strata.errors import StrataError

_PACKAGES: List[Dict[str, str]] = [
    {"Package": "app", "Depends": "libone (>= 1), mta | libtwo, virtual-thing"},
    {"Package": "libone", "Pre-Depends": "base", "Recommends": "extra"},
    {"Package": "libtwo", "Multi-Arch": "allowed"},
    {"Package": "thing", "Provides": "virtual-thing (= 1)"},
    {"Package": "base"},
    {"Package": "extra"},
    {"Package": "broken", "Depends": "missing"},
    {"Package": "folded", "Depends": "base,\n libtwo:any (>= 1)"},
    {"Package": "circle-a", "Depends": "circle-b"},
    {"Package": "circle-b", "Depends": "circle-a"},
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

    def spec(
        self, *packages: str, architectures: Sequence[str] = ("amd64",), **changes: Any
    ) -> Dict[str, Any]:
        return {
            "packages": list(packages),
            "suites": ["test"],
            "components": ["main"],
            "architectures": architectures,
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
    (lock,) = resolve(archive.spec("app"))
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
    (lock,) = resolve(archive.spec("libone", architectures=["arm64"]))
    assert {package.path for package in lock.packages} == {
        "pool/libone_1_arm64.deb",
        "pool/base_1_arm64.deb",
    }


def test_several_architectures(archive: Archive) -> None:
    """Each gets what it would get alone."""
    both = resolve(archive.spec("app", architectures=["arm64", "amd64"]))
    alone = [resolve(archive.spec("app", architectures=[name]))[0] for name in ("arm64", "amd64")]
    assert list(both) == alone
    assert [lock.architecture for lock in both] == ["arm64", "amd64"]
    assert {p.architecture for p in both[0].packages} == {"arm64"}


def test_an_archive_that_changes_in_the_middle_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else architectures would get versions of different days."""
    archive = Archive(tmp_path)
    first_is_read = threading.Event()
    closure = Apt.closure

    def changed_between(apt: Apt, packages: Sequence[str]) -> Any:
        result = closure(apt, packages)
        first_is_read.set()
        return result

    add_source = Apt.add_source

    def second_is_late(apt: Apt, *arguments: Any) -> None:
        if 'APT::Architecture "arm64"' in (apt._state / "apt.conf").read_text():
            assert first_is_read.wait(60)
            (archive.root / "dists/test/main/PackagesOfAnotherDay").write_text("x")
            archive.sign()
        add_source(apt, *arguments)

    monkeypatch.setattr(Apt, "closure", changed_between)
    monkeypatch.setattr(Apt, "add_source", second_is_late)
    try:
        with pytest.raises(StrataError, match="the archive changed while it was read.*lock again"):
            resolve(archive.spec("base", architectures=["amd64", "arm64"]))
    finally:
        archive.close()


def test_unknown_package(archive: Archive) -> None:
    pattern = r"(?s)cannot resolve nothing-like-it for amd64 from test \(file:.*archive\).*Unable"
    with pytest.raises(StrataError, match=pattern):
        resolve(archive.spec("nothing-like-it"))


def test_dependency_that_cannot_be_met(archive: Archive) -> None:
    with pytest.raises(StrataError, match="(?s)cannot resolve broken.*missing"):
        resolve(archive.spec("broken"))


def test_signature_of_another_key_is_refused(archive: Archive, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = Archive(other)
    stranger.close()
    with pytest.raises(StrataError, match="signature of the suite 'test' at file:.*cannot be"):
        resolve(archive.spec("app", keyring=str(stranger.keyring)))


def test_metadata_that_was_changed_after_signing_is_refused(
    archive: Archive, tmp_path: Path
) -> None:
    forged = Archive(tmp_path)
    forged.close()
    packages = forged.root / "dists/test/main/binary-amd64/Packages"
    packages.write_text(packages.read_text().replace("Version: 1", "Version: 6"))
    (packages.parent / "Packages.gz").write_bytes(gzip.compress(packages.read_bytes()))
    with pytest.raises(StrataError, match="(?s)cannot fetch the suite 'test'.*Hash Sum"):
        resolve(forged.spec("app"))


def test_suite_without_a_mirror(archive: Archive) -> None:
    with pytest.raises(StrataError, match="no mirror is known for the suite 'nowhere'"):
        resolve(archive.spec("app", suites=["nowhere"], mirrors={}))


@pytest.mark.parametrize("how", ["unsigned", "another key"])
def test_settings_of_the_machine_do_not_weaken_the_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = Archive(tmp_path / "a"), Archive(tmp_path / "b")
    first.close()
    second.close()
    settings = tmp_path / "apt.conf"
    settings.write_text(
        'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
        'acquire::allowweakrepositories "true";\n'
        f'APT::Update::Post-Invoke {{ "touch {tmp_path}/hook"; }};\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(settings))
    keyring = second.keyring
    if how == "unsigned":
        (first.root / "dists/test/InRelease").unlink()
        keyring = first.keyring
    with pytest.raises(StrataError, match="signature of the suite 'test' at file:.*cannot be"):
        resolve(first.spec("base", keyring=str(keyring)))
    assert resolve(second.spec("base"))
    assert not (tmp_path / "hook").exists()


def test_other_settings_of_the_machine_have_no_influence(archive: Archive, tmp_path: Path) -> None:
    """apt itself ships /etc/apt/apt.conf.d/01autoremove."""
    own = subprocess.run(["apt-config", "dump"], check=True, capture_output=True).stdout
    assert b"APT::NeverAutoRemove::" in own
    Apt(tmp_path, "amd64")
    environment = {**os.environ, "APT_CONFIG": str(tmp_path / "apt.conf")}
    private = subprocess.run(
        ["apt-config", "dump"], check=True, capture_output=True, env=environment
    ).stdout
    assert b"APT::NeverAutoRemove::" not in private
    assert b"Post-Invoke" not in private


def test_folded_fields_and_circles(archive: Archive) -> None:
    (lock,) = resolve(archive.spec("folded", "circle-a"))
    depends = {package.name: package.depends for package in lock.packages}
    assert depends["folded"] == ("base", "libtwo")
    assert (depends["circle-a"], depends["circle-b"]) == (("circle-b",), ("circle-a",))
    assert parse_locks(render_locks([lock]), "x.lock") == (lock,)


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        (["virtual-thing"], "'virtual-thing' is no package of .*: it is virtual; .*: thing$"),
        (["libo.e"], "'libo.e' is no package of "),
        (["app=1"], "'packages' has 'app=1', which is not a package name"),
        (["-oDebug=1"], "which is not a package name"),
        ([], "'packages' is empty"),
    ],
)
def test_requests_that_are_no_packages(archive: Archive, packages: List[str], message: str) -> None:
    with pytest.raises(StrataError, match=message):
        resolve(archive.spec(*packages))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suites": ["test main\ndeb"]}, "'suites' has"),
        ({"mirrors": {"test": ["[trusted=yes] file:/x"]}}, "'mirrors' has"),
        ({"components": []}, "'components' is empty"),
        ({"components": ["main", "nowhere"]}, "(?s)cannot fetch.*the component 'nowhere'"),
        ({"keyring": "/nowhere/key.gpg"}, "there is no keyring /nowhere/key.gpg"),
    ],
)
def test_malformed_specs(archive: Archive, changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(StrataError, match=message):
        resolve(archive.spec("app", **changes))


def machine(folder: Path, text: str) -> Path:
    (folder / "sources.list.d").mkdir(parents=True)
    (folder / "sources.list.d/test.sources").write_text(text)
    return folder


def test_sources_of_the_machine(archive: Archive, tmp_path: Path) -> None:
    """Of three publishers of one suite, the one with the component and architecture is taken."""
    stanza = "Types: deb\nSuites: test\nURIs: {}\nComponents: {}\nSigned-By: {}\n"
    sources = [
        stanza.format("file:/other-component", "stable", archive.keyring),
        stanza.format("file:/other-processor", "main", archive.keyring) + "Architectures: s390x\n",
        stanza.format(f"file:{archive.root}", "main", archive.keyring),
    ]
    folder = machine(tmp_path, "\n".join(sources))
    spec = archive.spec("base", mirrors={}, keyring=None)
    assert [package.name for package in resolve(spec, folder)[0].packages] == ["base"]


@pytest.mark.parametrize("mirrors", ["of the machine", "of the spec"])
def test_key_within_the_configuration(archive: Archive, tmp_path: Path, mirrors: str) -> None:
    armored = archive._gpg("--armor", "--export", "test@example.org").decode()
    folded = "".join(f" {line or '.'}\n" for line in armored.splitlines())
    uri = archive.root if mirrors == "of the machine" else "/elsewhere"
    text = f"Types: deb\nURIs: file:{uri}\nSuites: test\nComponents: main\nSigned-By:\n{folded}"
    folder = machine(tmp_path, text)
    explicit = {} if mirrors == "of the machine" else {"test": [f"file:{archive.root}"]}
    assert resolve(archive.spec("base", mirrors=explicit, keyring=None), folder)


def test_skipped_sources_are_explained(archive: Archive, tmp_path: Path) -> None:
    text = "Types: deb\nURIs: mirror+file:/m.txt cdrom:///\nSuites: test\nComponents: main\n"
    folder = machine(tmp_path, text)
    with pytest.raises(StrataError, match="(?s)no mirror is known.*cdrom: is no.*list of mirrors"):
        resolve(archive.spec("base", mirrors={}), folder)


def test_mirrors_are_tried_in_order(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt.conf").write_text('Acquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/debian"
    uris = ["file:/nowhere", dead, f"file:{archive.root}"]
    assert resolve(archive.spec("base", mirrors={"test": uris}))
    with pytest.raises(StrataError, match="(?s)from file:/nowhere:.*Could not connect.*Name a mir"):
        resolve(archive.spec("base", mirrors={"test": uris[:2]}))


class _Proxy(http.server.SimpleHTTPRequestHandler):
    """Answers for every host from one folder."""

    hosts: List[str] = []

    def translate_path(self, path: str) -> str:
        parts = urlsplit(path)
        self.hosts.append(parts.hostname or "")
        return super().translate_path(parts.path)

    def log_message(self, format: str, *arguments: Any) -> None:
        """The test's output is no place for it."""


@contextlib.contextmanager
def proxy(folder: Path) -> Iterator[str]:
    def handler(*arguments: Any) -> _Proxy:
        return _Proxy(*arguments, directory=str(folder))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_proxy_of_the_machine_is_used(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(archive.root) as address:
        settings = tmp_path / "apt.conf"
        settings.write_text(f'Acquire::http::Proxy "{address}";\n')
        monkeypatch.setenv("APT_CONFIG", str(settings))
        (lock,) = resolve(archive.spec("base", mirrors={"test": ["http://archive.invalid/"]}))
    assert [package.name for package in lock.packages] == ["base"]
    assert set(_Proxy.hosts) == {"archive.invalid"}


def test_an_ordinary_user_can_lock(archive: Archive) -> None:
    """In a child process that gives up its privileges, if it has any."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        shutil.copytree(archive.root, f"{folder}/archive")
        shutil.copy(archive.keyring, f"{folder}/key.gpg")
        os.chmod(f"{folder}/key.gpg", 0o644)
        spec = archive.spec(
            "app", mirrors={"test": [f"file:{folder}/archive"]}, keyring=f"{folder}/key.gpg"
        )
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                os.chdir("/")
                tempfile.tempdir = folder
                names = [package.name for package in resolve(spec)[0].packages]
                Path(folder, "result.json").write_text(json.dumps([os.getuid(), names]))
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        uid, names = json.loads(Path(folder, "result.json").read_text())
    assert uid != 0
    assert names == ["app", "base", "libone", "libtwo", "thing"]


def test_without_apt(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StrataError, match="is not installed: Debian locks are resolved by apt"):
        resolve(archive.spec("app"))
