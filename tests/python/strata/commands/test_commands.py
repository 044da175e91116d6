"""The commands as processes, as a build runs them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Dict, List

import strata


def run(
    folder: Path, command: str, spec: Dict[str, Any], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    (folder / "spec.json").write_text(json.dumps(spec))
    return subprocess.run(
        [sys.executable, "-m", "strata", command, "spec.json", *arguments],
        cwd=folder,
        env={"PYTHONPATH": ":".join([str(Path(strata.__file__).parents[1]), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )


def tree(folder: Path, name: str, files: Dict[str, str], **changes: Any) -> Dict[str, Any]:
    """A ``tree`` object with its content and manifest."""
    rows = []
    for path, text in files.items():
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        rows.append([path, hashlib.sha256(text.encode()).hexdigest(), len(text), 0, ""])
    (folder / f"{name}.json").write_text(json.dumps(rows))
    return {
        "name": f"files:{name}",
        "version": "",
        "kind": "tree",
        "source": name,
        "manifest": f"{name}.json",
        "root": "",
        "prefix": "",
        "python_sources": False,
        "omit": [],
        **changes,
    }


def layer_spec(*objects: Dict[str, Any], **changes: Any) -> Dict[str, Any]:
    return {
        "compression": "none",
        "mtime": 1,
        "uid": 0,
        "gid": 0,
        "uname": "",
        "gname": "",
        "links": {},
        "owners": [],
        "python": "",
        "interpreter": "",
        "objects": list(objects),
        **changes,
    }


def names(folder: Path) -> List[str]:
    with tarfile.open(folder / "blob") as archive:
        return archive.getnames()


def test_layer_of_two_objects_that_share_a_directory(tmp_path: Path) -> None:
    one = tree(tmp_path, "one", {"etc/a": "1"})
    two = tree(tmp_path, "two", {"etc/b": "22"})
    process = run(tmp_path, "layer", layer_spec(one, two))
    assert process.returncode == 0, process.stderr
    assert names(tmp_path) == ["etc", "etc/a", "etc/b"]
    layer = json.loads((tmp_path / "layer.json").read_text())
    assert [(m["name"], m["size"], m["files"]) for m in layer["members"]] == [
        ("files:one", 1, 1),
        ("files:two", 2, 1),
    ]
    assert not list(tmp_path.glob("scratch-*"))


def test_layer_with_a_collision(tmp_path: Path) -> None:
    one, two = (tree(tmp_path, name, {"etc/a": name}) for name in ("one", "two"))
    process = run(tmp_path, "layer", layer_spec(one, two))
    assert process.returncode == 1
    assert process.stderr.startswith("files:one and files:two both contain /etc/a.")
    assert "Traceback" not in process.stderr


def test_omitted_paths(tmp_path: Path) -> None:
    item = tree(tmp_path, "one", {"etc/a": "1", "etc/b": "2"}, omit=["etc/a"])
    assert run(tmp_path, "layer", layer_spec(item)).returncode == 0
    assert names(tmp_path) == ["etc", "etc/b"]
    item["omit"] = ["etc/zzz"]
    process = run(tmp_path, "layer", layer_spec(item))
    assert process.returncode == 1
    assert "omit_paths: 'etc/zzz' matches no path of files:one" in process.stderr


def test_name_that_cannot_be_stored(tmp_path: Path) -> None:
    item = tree(tmp_path, "one", {"a": "1"})
    (tmp_path / "one.json").write_text(json.dumps([["../a", "00", 1, 0, ""]]))
    process = run(tmp_path, "layer", layer_spec(item))
    assert process.returncode == 1
    assert "files:one: the path '../a' cannot be stored in a layer" in process.stderr


def test_store_objects_have_the_owner_of_the_store(tmp_path: Path) -> None:
    item = tree(tmp_path, "one", {"x": "1"}, root="opt/store/one")
    assert run(tmp_path, "layer", layer_spec(item, uid=12, gid=34)).returncode == 0
    with tarfile.open(tmp_path / "blob") as archive:
        member = archive.getmember("opt/store/one/x")
    assert (member.uid, member.gid, member.uname, member.gname) == (12, 34, "", "")


def test_names_of_the_owner_are_the_stores_alone(tmp_path: Path) -> None:
    stored = tree(tmp_path, "one", {"x": "1"}, root="opt/store/one")
    placed = tree(tmp_path, "two", {"etc/x": "1"})
    spec = layer_spec(stored, placed, uid=12, gid=34, uname="app", gname="staff")
    assert run(tmp_path, "layer", spec).returncode == 0
    with tarfile.open(tmp_path / "blob") as archive:
        owners = {m.name: (m.uid, m.gid, m.uname, m.gname) for m in archive if m.isfile()}
    assert owners == {
        "opt/store/one/x": (12, 34, "app", "staff"),
        "etc/x": (0, 0, "", ""),
    }


def customisation(
    folder: Path, listings: List[Dict[str, Any]], **changes: Any
) -> "subprocess.CompletedProcess[str]":
    (folder / "listings.json").write_text(json.dumps(listings))
    spec = {
        "compression": "none",
        "mtime": 1,
        "owners": [],
        "listings": ["listings.json"],
        "applications": [],
        "farms": [],
        "entries": [],
        "base_listings": [],
        "borrowed": [],
        "links": {},
        "root": "",
        **changes,
    }
    return run(folder, "customisation", spec)


def listed(name: str, *paths: List[Any], root: str = "") -> Dict[str, Any]:
    return {"name": name, "root": root, "paths": list(paths), "scripts": {}, "script_files": {}}


def entry(path: str, kind: str = "symlink", **changes: Any) -> Dict[str, Any]:
    return {
        "path": path,
        "type": kind,
        "mode": 0o777,
        "uid": 0,
        "gid": 0,
        "target": "x",
        "content": "",
        **changes,
    }


def file(path: str) -> List[Any]:
    return [path, 0, 0o644, 0, 0, ""]


def folder_row(path: str, mode: int = 0o755) -> List[Any]:
    return [path, 1, mode, 0, 0, ""]


def test_collision_between_objects_in_different_layers(tmp_path: Path) -> None:
    process = customisation(
        tmp_path, [listed("debian:a", file("etc/x")), listed("debian:b", file("etc/x"))]
    )
    assert process.returncode == 1
    assert process.stderr.startswith("debian:a and debian:b both contain /etc/x.")


def test_collision_of_a_declared_entry_with_an_object(tmp_path: Path) -> None:
    process = customisation(tmp_path, [listed("debian:a", file("etc/x"))], entries=[entry("etc/x")])
    assert process.returncode == 1
    assert "debian:a and the layered_image's own entries both contain /etc/x" in process.stderr


def test_folder_below_a_file_is_a_collision(tmp_path: Path) -> None:
    rows = [listed("debian:a", file("etc/x")), listed("debian:b", file("etc/x/y"))]
    process = customisation(tmp_path, rows)
    assert process.returncode == 1
    assert "both contain /etc/x" in process.stderr


def test_disputed_and_repeated_directories(tmp_path: Path) -> None:
    rows = [
        listed("debian:a", folder_row("var"), folder_row("var/mail", 0o2775)),
        listed(
            "debian:b", folder_row("var"), folder_row("var/mail", 0o755), folder_row("srv", 0o700)
        ),
    ]
    process = customisation(tmp_path, rows, entries=[entry("srv/link")])
    assert process.returncode == 0, process.stderr
    with tarfile.open(tmp_path / "blob") as archive:
        modes = {member.name: member.mode for member in archive if member.isdir()}
    # The first object by name is right about the mode, and a link's parents stay as they are.
    assert modes == {"var": 0o755, "var/mail": 0o2775, "srv": 0o700}


def test_archive_and_stream_are_equal(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "index.json").write_text("{}")
    (layout / "blobs/sha256/aa").write_bytes(b"x" * 3_000_000)
    (layout / "blobs/sha256/bb").write_bytes(b"y")
    for compression in ("none", "gzip"):
        spec = {"layout": "layout", "output": "out/x.tar", "compression": compression}
        assert run(tmp_path, "archive", spec).returncode == 0
        streamed = subprocess.run(
            [sys.executable, "-m", "strata", "stream", "layout", compression],
            cwd=tmp_path,
            env={"PYTHONPATH": ":".join([str(Path(strata.__file__).parents[1]), *sys.path])},
            capture_output=True,
            check=True,
        ).stdout
        assert streamed == (tmp_path / "out/x.tar").read_bytes()
    with tarfile.open(tmp_path / "out/x.tar") as archive:
        assert archive.getnames() == ["index.json", "blobs/sha256/bb", "blobs/sha256/aa"]


def test_unknown_command(tmp_path: Path) -> None:
    process = run(tmp_path, "dance", {})
    assert process.returncode == 2
    assert "usage: strata" in process.stderr
