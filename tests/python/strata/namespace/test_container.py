"""How an image's configuration says that its program is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from strata.errors import StrataError
from strata.namespace.bundle import runtime_config
from strata.namespace.container import Identity, container_of, full_environment, identity


@pytest.mark.parametrize(
    ("config", "arguments", "expected"),
    [
        ({"Entrypoint": ["a"], "Cmd": ["b"]}, [], ("a", "b")),
        ({"Entrypoint": ["a"], "Cmd": ["b"]}, ["c"], ("a", "c")),
        ({"Cmd": ["b"]}, ["c", "d"], ("c", "d")),
        ({"Entrypoint": ["a"]}, [], ("a",)),
    ],
)
def test_command(config: Dict[str, Any], arguments: List[str], expected: "tuple[str, ...]") -> None:
    assert container_of(config, arguments).command == expected


def test_nothing_to_start() -> None:
    with pytest.raises(StrataError, match="neither an Entrypoint nor a Cmd"):
        container_of({"Entrypoint": None}, [])


def test_environment() -> None:
    config = {"Cmd": ["x"], "Env": ["A=b=c", "EMPTY=", "HOME=/own"], "WorkingDir": "/srv"}
    container = container_of(config, [])
    assert container.folder == "/srv"
    found = full_environment(container, Identity(1, 1, (), "/home/x"))
    assert (found["A"], found["EMPTY"], found["HOME"]) == ("b=c", "", "/own")
    assert found["PATH"].startswith("/usr/local/sbin:")
    plain = full_environment(container_of({"Cmd": ["x"]}, []), Identity(1, 1, (), "/home/x"))
    assert plain["HOME"] == "/home/x"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    etc.mkdir()
    users = "root:x:0:0::/root:/bin/sh\nweb:x:990:991::/srv:/bin/sh\nbroken\n7:x:8:9::/:/\n"
    (etc / "passwd").write_text(users)
    (etc / "group").write_text("root:x:0:\nweb:x:991:\nlogs:x:44:web,other\nx:x:notnumber:web\n")
    return tmp_path


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (), "/root")),
        ("web", Identity(990, 991, (44,), "/srv")),
        ("990", Identity(990, 991, (44,), "/srv")),
        ("web:logs", Identity(990, 44, (), "/srv")),
        ("web:5", Identity(990, 5, (), "/srv")),
        ("1234", Identity(1234, 0, (), "/")),
        ("1234:5678", Identity(1234, 5678, (), "/")),
    ],
)
def test_identity(root: Path, user: str, expected: Identity) -> None:
    assert identity(user, root) == expected


@pytest.mark.parametrize("user", ["nobody-here", "web:nobody-here"])
def test_names_that_the_image_does_not_have(root: Path, user: str) -> None:
    with pytest.raises(StrataError, match="'nobody-here', which its config names"):
        identity(user, root)


def test_image_without_users(tmp_path: Path) -> None:
    assert identity("", tmp_path) == Identity(0, 0, (), "/")


def test_bundle_for_runc() -> None:
    container = container_of({"Cmd": ["x"], "Env": ["A=b"], "WorkingDir": "/srv"}, [])
    config = runtime_config(container, Identity(0, 0, (), "/"), read_only=True, terminal=False)
    assert config["root"] == {"path": "rootfs", "readonly": True}
    assert config["process"]["args"] == ["x"] and config["process"]["cwd"] == "/srv"
    assert "A=b" in config["process"]["env"]
    assert "CAP_SYS_ADMIN" not in config["process"]["capabilities"]["bounding"]
    assert "CAP_CHOWN" in config["process"]["capabilities"]["effective"]
    assert "network" not in {item["type"] for item in config["linux"]["namespaces"]}
    other = runtime_config(container, Identity(7, 7, (), "/"), read_only=False, terminal=True)
    assert other["process"]["capabilities"]["effective"] == []
