"""apt's configuration in both of its formats."""

from __future__ import annotations

from pathlib import Path

from strata.closure.debian.mirror import Mirror, configured_mirrors, mirrors_for

_LINES = """
# deb http://commented.example/debian stable main
deb http://one.example/debian stable main contrib # a comment
deb-src http://source.example/debian stable main
deb [arch=amd64 signed-by=/keys/two.gpg] https://two.example/debian/ stable main
deb cdrom:[Debian]/ stable main
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
        Mirror("https://two.example/debian/", ("stable",), main, "/keys/two.gpg"),
        Mirror("http://one.example/debian", ("stable-updates",), main),
        Mirror(
            "http://three.example/debian", ("stable", "stable-updates"), main, "/keys/three.gpg"
        ),
        Mirror("http://four.example/debian", ("stable", "stable-updates"), main, "/keys/three.gpg"),
        Mirror("file:///srv/debian", ("stable",), main),
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
