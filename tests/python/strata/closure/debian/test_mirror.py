"""apt's configuration in both of its formats."""

from __future__ import annotations

from pathlib import Path

from strata.closure.debian.mirror import (
    Mirror,
    configured_mirrors,
    configured_sources,
    mirrors_for,
)

_LINES = """
# deb http://commented.example/debian stable main
deb http://one.example/debian stable main contrib # a comment
deb-src http://source.example/debian stable main
deb [arch=amd64 signed-by=/keys/two.gpg] https://two.example/debian/ stable main
deb cdrom:[Debian]/ stable main
deb mirror+file:/etc/mirrors.txt stable main
deb http://one.example/debian stable-updates main
"""
_STANZAS = """\
# A comment
Types: deb deb-src
URIs: http://three.example/debian http://four.example/debian
Suites: stable stable-updates
Components: main
Signed-By: /keys/three.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: stable
Components: main

Types: deb
URIs: file:///srv/debian
Suites: stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""
_KEY = """
-----BEGIN PGP PUBLIC KEY BLOCK-----

abc
-----END PGP PUBLIC KEY BLOCK-----
""".lstrip()


def configuration(folder: Path) -> Path:
    (folder / "sources.list.d").mkdir()
    (folder / "sources.list").write_text(_LINES)
    (folder / "sources.list.d/debian.sources").write_text(_STANZAS)
    (folder / "sources.list.d/ignored.txt").write_text("deb http://no.example stable main\n")
    return folder


def test_all_mirrors_in_order(tmp_path: Path) -> None:
    main = ("main",)
    assert configured_mirrors(configuration(tmp_path)) == [
        Mirror("http://one.example/debian", ("stable",), ("main", "contrib")),
        Mirror(
            "https://two.example/debian/",
            ("stable",),
            main,
            "/keys/two.gpg",
            architectures=("amd64",),
        ),
        Mirror("http://one.example/debian", ("stable-updates",), main),
        Mirror(
            "http://three.example/debian", ("stable", "stable-updates"), main, "/keys/three.gpg"
        ),
        Mirror("http://four.example/debian", ("stable", "stable-updates"), main, "/keys/three.gpg"),
        Mirror("file:///srv/debian", ("stable",), main, key=_KEY),
    ]


def test_mirrors_of_one_suite(tmp_path: Path) -> None:
    found = mirrors_for("stable-updates", configuration(tmp_path))
    assert [mirror.uri for mirror in found] == [
        "http://one.example/debian",
        "http://three.example/debian",
        "http://four.example/debian",
    ]
    assert mirrors_for("testing", tmp_path) == []


def test_a_machine_without_apt(tmp_path: Path) -> None:
    assert configured_mirrors(tmp_path / "nowhere") == []


def test_architecture_and_component_choose(tmp_path: Path) -> None:
    root = configuration(tmp_path)
    assert "https://two.example/debian/" in [m.uri for m in mirrors_for("stable", root, "amd64")]
    assert "https://two.example/debian/" not in [m.uri for m in mirrors_for("stable", root, "i386")]
    found = mirrors_for("stable", root, components=("contrib", "non-free"))
    assert [mirror.uri for mirror in found] == ["http://one.example/debian"]


def test_what_cannot_be_fetched_has_a_reason(tmp_path: Path) -> None:
    reasons = {m.uri: m.unusable for m in configured_sources(configuration(tmp_path)) if m.unusable}
    assert list(reasons) == ["cdrom:[Debian]/", "mirror+file:/etc/mirrors.txt"]
    assert "cdrom: is no scheme" in reasons["cdrom:[Debian]/"]
    assert "is a list of mirrors" in reasons["mirror+file:/etc/mirrors.txt"]


def test_fields_have_no_case_and_may_be_folded(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/x.sources").write_text(
        "types: deb\nURIS:\n http://one.example\n# between\n http://two.example\n"
        "suites: stable\ncomponents: main\narchitectures: amd64 arm64\n"
        "signed-by: /keys/a.gpg, /keys/b.gpg\n"
    )
    assert configured_mirrors(tmp_path) == [
        Mirror(uri, ("stable",), ("main",), "/keys/a.gpg,/keys/b.gpg", "", ("amd64", "arm64"))
        for uri in ("http://one.example", "http://two.example")
    ]
