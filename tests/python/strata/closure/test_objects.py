"""Objects are read by their kind, and leave out what they are told to."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import pytest

from strata.archive.entry import Entry, EntryType
from strata.archive.writer import relinked
from strata.closure.listing import Listing
from strata.closure.manifest import ManifestFile, parse_manifest
from strata.closure.objects import (
    CERTIFICATE_BUNDLE,
    ObjectSpec,
    ReaderContext,
    ReadObject,
    read_object,
)
from strata.errors import StrataError

Member = Tuple[str, bytes, str, bytes]


def file(name: str, content: bytes = b"x") -> Member:
    return name, tarfile.REGTYPE, "", content


def link(name: str, target: str) -> Member:
    return name, tarfile.LNKTYPE, target, b""


def _tar(members: Sequence[Member]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, target, content in members:
            info = tarfile.TarInfo(f"./{name}")
            info.type, info.size = kind, len(content)
            info.linkname = f"./{target}" if target else ""
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def make_deb(folder: Path, name: str, *members: Member) -> Path:
    """A package as deb(5) describes it."""
    control = _tar([file("control", f"Package: {name}\nVersion: 1\n".encode())])
    data = b"!<arch>\n"
    for part, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar", control),
        ("data.tar", _tar(members)),
    ):
        data += f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        data += content + b"\n" * (len(content) % 2)
    deb = folder / f"{name}_1_all.deb"
    deb.write_bytes(data)
    return deb


def tree(folder: Path, files: Dict[str, str]) -> Tuple[ManifestFile, ...]:
    rows = []
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        rows.append(ManifestFile(path, digest, len(text), path.endswith(".sh")))
    return tuple(rows)


def read(tmp_path: Path, spec: ObjectSpec, **changes: Any) -> ReadObject:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return read_object(spec, ReaderContext(scratch, **changes))


def paths(found: ReadObject) -> List[str]:
    return sorted(entry.path for entry in found.entries)


def by_path(found: ReadObject) -> Dict[str, Entry]:
    return {entry.path: entry for entry in found.entries}


# -- trees -------------------------------------------------------------------------------------


def test_tree_in_the_store_and_at_its_own_path(tmp_path: Path) -> None:
    manifest = tree(tmp_path / "x", {"a.txt": "a", "run.sh": "#!"}) + (
        ManifestFile("empty"),
        ManifestFile("link", target="a.txt"),
    )
    spec = ObjectSpec(
        "files:x", "1", "tree", tmp_path / "x", "opt/store/x", "etc", manifest=manifest
    )
    found = by_path(read(tmp_path, spec, uid=5, gid=6))
    shown = {path: (e.type, e.mode, e.uid, e.gid) for path, e in found.items()}
    assert shown == {
        "opt/store/x": (EntryType.DIRECTORY, 0o755, 5, 6),
        "opt/store/x/etc": (EntryType.DIRECTORY, 0o755, 5, 6),
        "opt/store/x/etc/a.txt": (EntryType.FILE, 0o644, 5, 6),
        "opt/store/x/etc/run.sh": (EntryType.FILE, 0o755, 5, 6),
        "opt/store/x/etc/empty": (EntryType.DIRECTORY, 0o755, 5, 6),
        "opt/store/x/etc/link": (EntryType.SYMLINK, 0o777, 5, 6),
    }
    assert found["opt/store/x/etc/a.txt"].read() == b"a"
    at_root = ObjectSpec("files:x", "1", "tree", tmp_path / "x", manifest=manifest)
    result = read(tmp_path, at_root, uid=5, gid=6)
    assert paths(result) == ["a.txt", "empty", "link", "run.sh"]
    assert {(entry.uid, entry.gid) for entry in result.entries} == {(0, 0)}


def test_listing_of_a_tree(tmp_path: Path) -> None:
    manifest = tree(tmp_path / "x", {"p/__init__.py": "", "p/b.py": "b"})
    spec = ObjectSpec("source:x", "", "tree", tmp_path / "x", "opt/store/x", manifest=manifest)
    listing = read(tmp_path, spec).listing
    assert (listing.name, listing.root) == ("source:x", "opt/store/x")
    assert [(p.path, p.is_directory, bool(p.same)) for p in listing.paths] == [
        ("p/__init__.py", False, True),
        ("p/b.py", False, False),
    ]
    assert listing.paths[0].same == hashlib.sha256(b"").hexdigest()
    # It survives the way through JSON to the process that makes the top layer.
    assert Listing.from_json(json.loads(json.dumps(listing.to_json()))) == listing


def test_edit_of_a_file_leaves_the_listing(tmp_path: Path) -> None:
    listings = []
    for text in ("one", "two, and longer"):
        manifest = tree(tmp_path / text, {"p/a.py": text, "p/__init__.py": ""})
        spec = ObjectSpec("source:x", "", "tree", tmp_path / text, "opt/x", manifest=manifest)
        listings.append(read(tmp_path, spec).listing)
    assert listings[0] == listings[1]


# -- what is left out --------------------------------------------------------------------------


def omitting(tmp_path: Path, *patterns: str) -> ObjectSpec:
    manifest = tree(tmp_path / "x", {"etc/a": "1", "etc/b": "2", "etc/c/d": "3", "doc": "4"})
    return ObjectSpec("files:x", "", "tree", tmp_path / "x", manifest=manifest, omit=patterns)


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["etc/a"], ["doc", "etc/b", "etc/c/d"]),
        (["etc/*"], ["doc"]),
        (["etc/[ab]"], ["doc", "etc/c/d"]),
        # Each of two patterns matches something, though the first leaves nothing to the second.
        (["etc/*", "etc/a"], ["doc"]),
        (["*"], []),
    ],
)
def test_omitted_paths(tmp_path: Path, patterns: List[str], left: List[str]) -> None:
    found = read(tmp_path, omitting(tmp_path, *patterns))
    assert paths(found) == left
    assert [p.path for p in found.listing.paths] == left


@pytest.mark.parametrize("pattern", ["/etc/a", "etc", "etc/A", "nothing*"])
def test_pattern_that_matches_nothing(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(StrataError) as caught:
        read(tmp_path, omitting(tmp_path, "etc/b", pattern))
    assert str(caught.value) == (
        f"omit_paths: {pattern!r} matches no path of files:x; remove the pattern"
    )


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        (["usr/bin/a"], {"usr/bin/b": "", "usr/bin/c": "usr/bin/b", "usr/bin/d": "usr/bin/b"}),
        (["usr/bin/[ab]"], {"usr/bin/c": "", "usr/bin/d": "usr/bin/c"}),
        (["usr/bin/[abc]"], {"usr/bin/d": ""}),
        (["usr/bin/c"], {"usr/bin/a": "", "usr/bin/b": "usr/bin/a", "usr/bin/d": "usr/bin/a"}),
    ],
)
def test_hard_links_keep_the_content_of_an_omitted_name(
    tmp_path: Path, patterns: List[str], files: Dict[str, str]
) -> None:
    members = [file("usr/bin/a", b"content"), *(link(f"usr/bin/{n}", "usr/bin/a") for n in "bcd")]
    deb = make_deb(tmp_path, "demo", *members)
    spec = ObjectSpec("debian:demo", "1", "debian", deb, omit=(*patterns, "var/*"))
    found = by_path(read(tmp_path, spec))
    assert {path: entry.link for path, entry in found.items()} == files
    first = min(files)
    assert found[first].read() == b"content"
    assert relinked(found.values()) == list(found.values())


# -- Debian packages ---------------------------------------------------------------------------


def test_package_lies_at_its_own_paths(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, "demo", file("usr/share/x"))
    found = read(tmp_path, ObjectSpec("debian:demo", "1", "debian", deb), uid=5, gid=6)
    assert paths(found) == ["usr/share/x", "var/lib/dpkg/status.d/demo"]
    assert {(entry.uid, entry.gid) for entry in found.entries} == {(0, 0)}
    assert found.listing.root == ""


def test_certificates_become_one_bundle(tmp_path: Path) -> None:
    folder = "usr/share/ca-certificates/mozilla"
    deb = make_deb(
        tmp_path,
        "ca-certificates",
        file(f"{folder}/Z_Root.crt", b"Z\n\n"),
        file(f"{folder}/A_Root.crt", b"A"),
        file(f"{folder}/README", b"no certificate"),
        file("usr/share/doc/x.crt", b"neither"),
    )
    spec = ObjectSpec("bundle:ca-certificates", "1", "certificates", deb)
    found = read(tmp_path, spec)
    assert paths(found) == [CERTIFICATE_BUNDLE]
    assert found.entries[0].read() == b"A\nZ\n"


def test_package_without_certificates(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, "demo", file("usr/share/x"))
    with pytest.raises(StrataError, match="demo_1_all.deb contains no certificates"):
        read(tmp_path, ObjectSpec("bundle:x", "1", "certificates", deb))


# -- specifications ----------------------------------------------------------------------------


def test_specifications_from_json(tmp_path: Path) -> None:
    rows = [file.to_json() for file in tree(tmp_path / "x", {"a.sh": "1"})]
    rows.append(ManifestFile("l", target="a.sh").to_json())
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    data = {
        "name": "files:x",
        "version": "1",
        "kind": "tree",
        "source": str(tmp_path / "x"),
        "root": "r",
        "prefix": "p",
        "python_sources": True,
        "manifest": str(tmp_path / "rows.json"),
        "omit": ["a*"],
    }
    spec = ObjectSpec.from_json(data)
    assert spec.manifest == tuple(parse_manifest(rows))
    assert [(f.path, f.executable, f.target) for f in spec.manifest] == [
        ("a.sh", True, ""),
        ("l", False, "a.sh"),
    ]
    assert (spec.root, spec.prefix, spec.omit) == ("r", "p", ("a*",))
    assert ObjectSpec.from_json({**data, "manifest": ""}).manifest == ()
    with pytest.raises(StrataError, match="files:x: unknown kind of object 'rpm'"):
        ObjectSpec.from_json({**data, "kind": "rpm"})


def test_malformed_manifest() -> None:
    with pytest.raises(StrataError, match=r"malformed manifest row: \['a', ''\]"):
        parse_manifest([["a", ""]])


def test_placed_files_follow_links_and_stored_ones_do_not(tmp_path: Path) -> None:
    manifest = tree(tmp_path, {"bin/a": "1", "etc/b": "2"})
    links = {"bin": "usr/bin", "opt": "srv"}
    placed = read(
        tmp_path, ObjectSpec("files:x", "", "tree", tmp_path, manifest=manifest), links=links
    )
    assert [entry.path for entry in placed.entries] == ["usr/bin/a", "etc/b"]
    assert [path.path for path in placed.listing.paths] == ["etc/b", "usr/bin/a"]
    stored = ObjectSpec("package:x", "", "tree", tmp_path, "opt/store/x", manifest=manifest)
    assert [entry.path for entry in read(tmp_path, stored, links=links).entries] == [
        "opt/store/x/bin/a",
        "opt/store/x/etc/b",
    ]


def test_folders_of_the_store_have_its_owner(tmp_path: Path) -> None:
    manifest = tree(tmp_path, {"a/b/c": "1", "d": "2"})
    spec = ObjectSpec("package:x", "", "tree", tmp_path, "opt/store/x", manifest=manifest)
    found = read(tmp_path, spec, uid=7, gid=8, uname="app")
    owners = {(entry.uid, entry.gid, entry.uname) for entry in found.entries}
    assert owners == {(7, 8, "app")}
    assert sorted(entry.path for entry in found.entries if entry.is_directory) == [
        "opt/store/x",
        "opt/store/x/a",
        "opt/store/x/a/b",
    ]
    # Nobody else has to know of them.
    assert [path.path for path in found.listing.paths] == ["a/b/c", "d"]
