"""The top layer: links, declared entries, and what the layers below disagree about."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any, Dict, List

import pytest

from strata.closure.listing import ListedPath, Listing
from strata.commands.customisation import run
from strata.errors import StrataError


def listing(name: str, *paths: ListedPath, root: str = "", **changes: Any) -> Listing:
    return Listing(name, root, tuple(paths), **changes)


def file(path: str) -> ListedPath:
    return ListedPath(path, False, 0o644)


def folder(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> ListedPath:
    return ListedPath(path, True, mode, uid, gid)


def entry(path: str, kind: str = "file", **changes: Any) -> Dict[str, Any]:
    row = {"path": path, "type": kind, "mode": 0o644, "uid": 0, "gid": 0, "target": ""}
    return {**row, "content": "", **changes}


def customised(tmp_path: Path, *listings: Listing, **changes: Any) -> "Dict[str, tarfile.TarInfo]":
    """The members of the layer, by path."""
    # As in a build, each layer process has written listings of its own.
    files = []
    for index, item in enumerate(listings):
        files.append(str(tmp_path / f"{index}.json"))
        Path(files[-1]).write_text(json.dumps([item.to_json()]))
    spec = {
        "compression": "none",
        "mtime": 1,
        "owners": [],
        "listings": files,
        "applications": [],
        "farms": [],
        "entries": [],
        "base_listings": [],
        "borrowed": [],
        "links": {},
        "root": "",
        **changes,
    }
    run(spec, tmp_path)
    with tarfile.open(tmp_path / "blob") as archive:
        return {member.name: member for member in archive}


def folders(found: "Dict[str, tarfile.TarInfo]") -> "Dict[str, tuple[int, int, int]]":
    return {path: (m.mode, m.uid, m.gid) for path, m in found.items() if m.isdir()}


def test_nothing_to_customise(tmp_path: Path) -> None:
    assert customised(tmp_path, listing("debian:a", file("etc/x"), folder("srv", 0o700))) == {}
    layer = json.loads((tmp_path / "layer.json").read_text())
    assert layer["members"] == [{"name": "customisation", "version": "", "size": 0, "files": 0}]


def test_declared_entries(tmp_path: Path) -> None:
    entries = [
        entry("etc/motd", content="hé\n", mode=0o640, uid=1, gid=2),
        entry("bin", "symlink", target="usr/bin", mode=0o777),
        entry("tmp", "directory", mode=0o1777),
    ]
    found = customised(tmp_path, entries=entries)
    assert list(found) == ["bin", "etc", "etc/motd", "tmp"]
    assert (found["etc/motd"].mode, found["etc/motd"].uid, found["etc/motd"].gid) == (0o640, 1, 2)
    assert found["etc/motd"].size == len("hé\n".encode())
    assert (found["bin"].linkname, found["tmp"].mode) == ("usr/bin", 0o1777)


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a//b", ""])
def test_declared_entry_with_a_path_that_cannot_be_stored(tmp_path: Path, path: str) -> None:
    with pytest.raises(StrataError, match="own entries: the path .* cannot be stored"):
        customised(tmp_path, entries=[entry(path)])


def test_farms_and_applications_link_into_the_store(tmp_path: Path) -> None:
    site = "lib/python3.11/site-packages"
    store = [
        listing("python:a", file(f"{site}/a/x.py"), root="opt/store/a", scripts={"a": "a.x:main"}),
        listing("source:b", file(f"{site}/b.py"), root="opt/store/b"),
        listing("package:tool", file("bin/tool"), file("share/tool/x"), root="opt/store/tool"),
    ]
    application = {
        "path": "opt/app/web",
        "objects": ["python:a", "source:b"],
        "interpreter": "/usr/bin/python3.11",
        "version": "3.11.2",
        "launcher": {
            "name": "web",
            "entry_point": "b:main",
            "script": "",
            "args": ["-v"],
            "env": [["K", "v"]],
        },
    }
    farms = [{"mount": "usr/local", "objects": ["package:tool"]}]
    found = customised(tmp_path, *store, applications=[application], farms=farms)
    links = {path: member.linkname for path, member in found.items() if member.issym()}
    assert links == {
        f"opt/app/web/{site}/a": f"/opt/store/a/{site}/a",
        f"opt/app/web/{site}/b.py": f"/opt/store/b/{site}/b.py",
        "opt/app/web/bin/python": "/usr/bin/python3.11",
        "opt/app/web/bin/python3": "python",
        "opt/app/web/bin/python3.11": "python",
        "usr/local/bin": "/opt/store/tool/bin",
        "usr/local/share": "/opt/store/tool/share",
    }
    assert {p for p, m in found.items() if m.isfile()} == {
        "opt/app/web/bin/a",
        "opt/app/web/bin/web",
        "opt/app/web/pyvenv.cfg",
    }


# -- directories that several objects have -----------------------------------------------------


def test_first_object_by_name_decides_about_a_directory(tmp_path: Path) -> None:
    one = listing("debian:a", folder("var/mail", 0o2775, 0, 8))
    two = listing("debian:b", folder("var/mail"))
    for order in ((one, two), (two, one)):
        found = folders(customised(tmp_path, *order))
        assert found == {"var": (0o755, 0, 0), "var/mail": (0o2775, 0, 8)}


def test_agreed_directories_are_not_repeated(tmp_path: Path) -> None:
    one, two = (listing(f"debian:{n}", folder("srv", 0o700), file(f"srv/{n}")) for n in "ab")
    assert customised(tmp_path, one, two) == {}


@pytest.mark.parametrize("name", ["files:a", "files:z"])
def test_file_in_a_directory_of_another_object_leaves_the_directory_as_it_is(
    tmp_path: Path, name: str
) -> None:
    """The layer of the file holds the directory too, with mode 0755, and may lie on top."""
    owner = listing("files:m", folder("root", 0o700), folder("root/keys", 0o750, 3, 4))
    other = listing(name, file("root/keys/id"), file("root/x"))
    assert folders(customised(tmp_path, owner, other)) == {
        "root": (0o700, 0, 0),
        "root/keys": (0o750, 3, 4),
    }


def test_rules_reach_directories_that_other_layers_hold_too(tmp_path: Path) -> None:
    owner, other = listing("files:a", folder("srv")), listing("files:b", file("srv/x"))
    rules = [{"paths": "srv", "mode": "0750", "uid": 7}]
    assert folders(customised(tmp_path, owner, other, owners=rules)) == {"srv": (0o750, 7, 0)}
    assert json.loads((tmp_path / "layer.json").read_text())["owners"] == [True]
    assert customised(tmp_path, owner, other, owners=[{"paths": "else", "uid": 7}]) == {}


def test_parents_of_entries_stay_as_the_layers_below_have_them(tmp_path: Path) -> None:
    below = listing("debian:a", folder("root", 0o700), folder("root/keys", 0o750, 3, 4))
    found = customised(tmp_path, below, entries=[entry("root/keys/new/id")])
    assert folders(found) == {
        "root": (0o700, 0, 0),
        "root/keys": (0o750, 3, 4),
        "root/keys/new": (0o755, 0, 0),
    }


def test_declared_directory_beats_the_layers_below(tmp_path: Path) -> None:
    one = listing("debian:a", folder("tmp"))
    two = listing("debian:b", folder("tmp", 0o700))
    found = customised(tmp_path, one, two, entries=[entry("tmp", "directory", mode=0o1777)])
    assert folders(found) == {"tmp": (0o1777, 0, 0)}


# -- collisions --------------------------------------------------------------------------------

A_FILE = listing("debian:a", file("etc/x"))


@pytest.mark.parametrize(
    ("listings", "changes", "message"),
    [
        ([A_FILE, listing("files:b", file("etc/x"))], {}, "debian:a and files:b .*/etc/x"),
        ([A_FILE, listing("files:b", folder("etc/x"))], {}, "debian:a and files:b .*/etc/x"),
        ([A_FILE, listing("files:b", file("etc/x/y"))], {}, "debian:a and files:b .*/etc/x"),
        ([A_FILE, listing("debian:0", file("etc/x/y"))], {}, "debian:0 and debian:a .*/etc/x"),
        ([A_FILE], {"entries": [entry("etc/x")]}, 'omit_paths={"debian:a": \\["etc/x"\\]}'),
        ([A_FILE], {"entries": [entry("etc/x/y")]}, "debian:a and .* own entries .*/etc/x"),
        ([A_FILE], {"entries": [entry("etc", "symlink", target="x")]}, "debian:a .*/etc"),
        ([A_FILE], {"entries": [entry("etc/x", "directory")]}, "debian:a .*/etc/x"),
        ([], {"entries": [entry("a"), entry("a")]}, "both contain /a. Move or rename"),
        (
            [listing("files:b", file("usr/local/bin")), listing("package:t", file("bin/t"))],
            {"farms": [{"mount": "usr/local", "objects": ["package:t"]}]},
            "files:b and /usr/local both contain /usr/local/bin",
        ),
    ],
)
def test_collisions(
    tmp_path: Path, listings: List[Listing], changes: Dict[str, Any], message: str
) -> None:
    stored = [
        Listing(item.name, "opt/store/t", item.paths) if item.name.startswith("package") else item
        for item in listings
    ]
    with pytest.raises(StrataError, match=message):
        customised(tmp_path, *stored, **changes)


def test_objects_in_the_store_collide_only_where_they_are_linked(tmp_path: Path) -> None:
    one = listing("package:a", file("bin/x"), root="opt/store/a")
    two = listing("package:b", file("bin/x"), root="opt/store/b")
    assert customised(tmp_path, one, two) == {}
    farms = [{"mount": "usr/local", "objects": ["package:a", "package:b"]}]
    with pytest.raises(StrataError, match=r'{"package:b": \["opt/store/b/bin/x"\]}'):
        customised(tmp_path, one, two, farms=farms)


def base_root(
    tmp_path: Path, links: Dict[str, str], directories: "Dict[str, tuple[int, int, int]]"
) -> str:
    path = tmp_path / "root.json"
    path.write_text(json.dumps({"links": links, "directories": directories, "top": {}}))
    return str(path)


def test_folders_of_the_base_keep_their_modes(tmp_path: Path) -> None:
    modes = {
        "tmp": (0o1777, 0, 0),
        "root": (0o700, 0, 0),
        "srv": (0o750, 7, 8),
        "var/lib": (0o711, 0, 0),
        "opt/store": (0o711, 5, 5),
        "unused": (0o700, 0, 0),
    }
    found = customised(
        tmp_path,
        listing("files:a", file("tmp/x/y"), file("srv/z")),
        listing("debian:b", folder("var/lib", 0o2755), file("var/lib/b")),
        listing("source:c", file("lib/c.py"), root="opt/store/source-c"),
        entries=[entry("root", "directory", mode=0o750), entry("tmp/link", "symlink", target="x")],
        root=base_root(tmp_path, {}, modes),
    )
    assert folders(found) == {
        "opt": (0o755, 0, 0),
        "opt/store": (0o711, 5, 5),
        # What the image declares is meant to be.
        "root": (0o750, 0, 0),
        "srv": (0o750, 7, 8),
        "tmp": (0o1777, 0, 0),
        "var": (0o755, 0, 0),
        "var/lib": (0o711, 0, 0),
    }
    # Commands that see only this layer's tree are told of the others.
    assert json.loads((tmp_path / "layer.json").read_text())["parents"] == [["unused", 0o700, 0, 0]]


def test_owner_rules_have_the_last_word_on_folders_of_the_base(tmp_path: Path) -> None:
    found = customised(
        tmp_path,
        listing("files:a", file("tmp/x")),
        root=base_root(tmp_path, {}, {"tmp": (0o1777, 0, 0)}),
        owners=[{"paths": "tmp", "mode": "0700"}],
    )
    assert folders(found) == {"tmp": (0o700, 0, 0)}


def test_declared_entries_lie_where_links_of_the_base_lead(tmp_path: Path) -> None:
    found = customised(
        tmp_path,
        entries=[
            entry("bin/sh", "symlink", target="dash", mode=0o777),
            entry("var/run/app", "directory", mode=0o700),
            entry("sbin", "symlink", target="usr/sbin", mode=0o777),
            entry("sbin/x"),
        ],
        root=base_root(tmp_path, {"bin": "usr/bin", "var/run": "run"}, {}),
        links={"sbin": "usr/sbin"},
    )
    assert {path for path, member in found.items() if not member.isdir()} == {
        "sbin",
        "usr/bin/sh",
        "usr/sbin/x",
    }
    assert found["run/app"].mode == 0o700
    assert "bin" not in found and "var" not in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"listings": [listing("debian:b", file("var/run/b"))]},
            r"/var/run is a folder in debian:b, and a link to /run in the base image.*"
            r'omit_paths={"debian:b": \["var/run", "var/run/\*"\]}',
        ),
        (
            {"listings": [listing("debian:b", folder("var/run"))]},
            "/var/run is a folder in debian:b",
        ),
        (
            {"entries": [entry("var/run", "directory", mode=0o755)]},
            "/var/run is a folder in the layered_image's own entries.* choose a path in /run",
        ),
        (
            {"listings": [listing("python:p", file("x"), root="opt/store/p")]},
            "/opt is a folder in python:p, and",
        ),
    ],
)
def test_links_of_the_base_are_not_hidden(
    tmp_path: Path, arguments: Dict[str, Any], message: str
) -> None:
    root = base_root(tmp_path, {"var/run": "run", "opt": "srv/opt"}, {})
    with pytest.raises(StrataError, match=message):
        customised(
            tmp_path,
            *arguments.get("listings", ()),
            entries=arguments.get("entries", []),
            root=root,
        )


def test_objects_that_the_base_has_are_linked_and_others_of_it_are_not_seen(tmp_path: Path) -> None:
    module = file("lib/python3.11/site-packages/m.py")
    below = [
        listing("python:m", module, root="opt/store/m-1"),
        listing("debian:x", file("etc/x")),
    ]
    (tmp_path / "below.json").write_text(json.dumps([item.to_json() for item in below]))
    found = customised(
        tmp_path,
        # The base's file gives way to the image's, as a lower layer does.
        listing("files:a", file("etc/x")),
        farms=[{"mount": "opt/app/a", "objects": ["python:m"]}],
        base_listings=[str(tmp_path / "below.json")],
        borrowed=["python:m"],
    )
    link = found["opt/app/a/lib"]
    assert link.issym() and link.linkname.endswith("opt/store/m-1/lib")
