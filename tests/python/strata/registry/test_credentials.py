"""Where credentials come from, and what helpers may do to us."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from registries.clients import client, repository
from registries.layouts import LayoutBuilder, noise
from registries.server import PASSWORD, USER, DockerRegistry
from registries.token_service import TokenService
from strata.registry.credentials import Credential, Credentials, auth_files
from strata.registry.errors import AccessDenied
from strata.registry.helper import ask_helper
from strata.registry.layout import Layout
from strata.registry.push import push_layout


def entry(user: str, password: str) -> Dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def found(
    environment: Dict[str, str],
    registry: str,
    name: str = "team/app",
    warnings: Optional[List[str]] = None,
) -> Optional[Credential]:
    said: List[str] = [] if warnings is None else warnings
    return Credentials(environment, helper_timeout=2, warn=said.append).find(registry, name)


@pytest.fixture
def environment(tmp_path: Path) -> Dict[str, str]:
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "PATH": os.environ["PATH"],
    }


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is searched first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def make_helper(folder: Path, name: str, script: str) -> None:
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_files_are_looked_at_in_the_order_of_the_engines(
    environment: Dict[str, str], tmp_path: Path
) -> None:
    home, run = tmp_path / "home", tmp_path / "run"
    places = [
        (home / ".docker/config.json", "docker"),
        (home / ".config/containers/auth.json", "podman at home"),
        (run / "containers/auth.json", "podman of this session"),
        (tmp_path / "config/config.json", "DOCKER_CONFIG"),
    ]
    environment["DOCKER_CONFIG"] = str(tmp_path / "config")
    for path, user in places:
        write(path, {"auths": {"a.example": entry(user, "x")}})
        assert found(environment, "a.example") == Credential(user, "x")
    only = tmp_path / "only.json"
    write(only, {"auths": {"b.example": entry("only", "x")}})
    environment["REGISTRY_AUTH_FILE"] = str(only)
    assert found(environment, "b.example") == Credential("only", "x")
    assert found(environment, "a.example") is None
    assert auth_files(environment) == [only]


def test_a_file_without_this_registry_leaves_it_to_the_next(
    environment: Dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "run/containers/auth.json", {"auths": {"a.example": entry("a", "x")}})
    write(tmp_path / "home/.docker/config.json", {"auths": {"b.example": entry("b", "x")}})
    assert found(environment, "b.example") == Credential("b", "x")
    assert found(environment, "c.example") is None


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("a.example", "a.example"),
        ("https://a.example", "a.example"),
        ("https://a.example/v2/", "a.example"),
        ("a.example:5000", "a.example:5000"),
        ("a.example/team", "a.example"),
        ("a.example/team/app", "a.example"),
    ],
)
def test_keys_are_read_as_they_are_written(
    environment: Dict[str, str], tmp_path: Path, key: str, registry: str
) -> None:
    write(tmp_path / "home/.docker/config.json", {"auths": {key: entry("user", "p:w")}})
    assert found(environment, registry) == Credential("user", "p:w")
    assert found(environment, "a.example:6000") is None
    if "/team" in key:
        assert found(environment, registry, "teamwork/app") is None


def test_the_most_specific_entry_wins(environment: Dict[str, str], tmp_path: Path) -> None:
    auths = {"a.example": entry("all", "x"), "a.example/team/app": entry("app", "x")}
    write(tmp_path / "home/.docker/config.json", {"auths": auths})
    assert found(environment, "a.example") == Credential("app", "x")
    assert found(environment, "a.example", "team/else") == Credential("all", "x")


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        '{"auths": []}',
        '{"auths": {"a.example": {"auth": "!!"}}}',
        '{"auths": {"a.example": 3}}',
        '{"auths": {"a.example": {"auth": "/w=="}}}',
        '{"credHelpers": 3, "credsStore": 4}',
    ],
)
def test_damaged_files_are_no_obstacle(
    environment: Dict[str, str], tmp_path: Path, content: str
) -> None:
    write(tmp_path / "run/containers/auth.json", content)
    write(tmp_path / "home/.docker/config.json", {"auths": {"a.example": entry("user", "x")}})
    warnings: List[str] = []
    assert found(environment, "a.example", warnings=warnings) == Credential("user", "x")
    assert all("auth.json" in line for line in warnings)


def test_a_file_that_may_not_be_read_is_named(environment: Dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "run/containers/auth.json").mkdir(parents=True)
    warnings: List[str] = []
    assert found(environment, "a.example", warnings=warnings) is None
    assert len(warnings) == 1 and "auth.json" in warnings[0]


def test_helpers_are_asked(environment: Dict[str, str], tmp_path: Path, helpers: Path) -> None:
    asked = tmp_path / "asked"
    make_helper(
        helpers,
        "one",
        f'read server; echo "$1 $server" >> {asked}\n'
        'echo "{\\"ServerURL\\": \\"$server\\", '
        '\\"Username\\": \\"of one\\", \\"Secret\\": \\"s\\"}"',
    )
    make_helper(helpers, "token", """echo '{"Username": "<token>", "Secret": "identity"}'""")
    make_helper(helpers, "empty", 'echo "credentials not found in native keychain"; exit 1')
    config = {
        "credHelpers": {"a.example": "one", "b.example": "token"},
        "credsStore": "empty",
        "auths": {"c.example": entry("in the file", "x"), "a.example": {}},
    }
    write(tmp_path / "home/.docker/config.json", config)
    warnings: List[str] = []
    assert found(environment, "a.example", warnings=warnings) == Credential("of one", "s")
    assert found(environment, "b.example") == Credential(identity_token="identity")
    assert found(environment, "c.example", warnings=warnings) == Credential("in the file", "x")
    assert asked.read_text() == "get a.example\n"
    assert warnings == []


def test_docker_hub_has_its_own_name_at_helpers(
    environment: Dict[str, str], tmp_path: Path, helpers: Path
) -> None:
    make_helper(
        helpers,
        "hub",
        'read server; test "$server" = https://index.docker.io/v1/ && '
        """echo '{"Username": "hub", "Secret": "s"}'""",
    )
    write(tmp_path / "home/.docker/config.json", {"credsStore": "hub"})
    assert found(environment, "docker.io") == Credential("hub", "s")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo top-secret; echo top-secret >&2; exit 3", "exit code 3"),
        ("echo top-secret", "no credential"),
        ("sleep 60 & sleep 60", "no answer within 2 s"),
        ("kill -9 $$", "exit code -9"),
        ("""echo '{"Username": "top-secret"}'""", "no credential"),
    ],
)
def test_bad_helpers_are_named_and_what_they_print_is_not(
    environment: Dict[str, str], tmp_path: Path, helpers: Path, script: str, complaint: str
) -> None:
    make_helper(helpers, "bad", script)
    config = {"credsStore": "bad", "auths": {"a.example": entry("in the file", "x")}}
    write(tmp_path / "home/.docker/config.json", config)
    warnings: List[str] = []
    start = time.monotonic()
    assert found(environment, "a.example", warnings=warnings) == Credential("in the file", "x")
    assert time.monotonic() - start < 10
    assert len(warnings) == 1 and complaint in warnings[0]
    assert "docker-credential-bad" in warnings[0] and "top-secret" not in warnings[0]


def test_a_helper_that_hangs_leaves_no_process_behind(helpers: Path, tmp_path: Path) -> None:
    child = tmp_path / "child"
    make_helper(helpers, "hangs", f"sleep 600 & echo $! > {child}; wait")
    with pytest.raises(Exception, match="no answer"):
        ask_helper("hangs", "a.example", timeout=1)
    time.sleep(0.2)
    # Whoever collects orphans may not have come by yet.
    status = Path(f"/proc/{child.read_text().strip()}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_missing_helper_and_a_strange_name_are_named(
    environment: Dict[str, str], tmp_path: Path
) -> None:
    for name, complaint in (("not-there", "cannot be started"), ("../x", "not the name")):
        write(tmp_path / "home/.docker/config.json", {"credsStore": name})
        warnings: List[str] = []
        assert found(environment, "a.example", warnings=warnings) is None
        assert len(warnings) == 1 and complaint in warnings[0]


def test_nothing_shows_a_credential(environment: Dict[str, str], tmp_path: Path) -> None:
    write(
        tmp_path / "home/.docker/config.json", {"auths": {"a.example": entry("me", "top-secret")}}
    )
    credential = found(environment, "a.example")
    assert credential is not None and credential.password == "top-secret"
    assert "top-secret" not in repr(credential) and "me" not in repr(credential)


@pytest.mark.parametrize("script", ["exit 1", "sleep 60"])
def test_a_bad_helper_does_not_break_a_public_pull(
    tmp_path: Path, helpers: Path, script: str
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    digest = built.image([noise(1000, "a")])["digest"]
    make_helper(helpers, "bad", script)
    write(tmp_path / "auth.json", {"credsStore": "bad"})
    write(tmp_path / "good.json", {})
    environment = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    with TokenService(tmp_path / "tokens", {USER: PASSWORD}, public=("open",)) as tokens:
        with DockerRegistry(tmp_path / "registry", tokens=tokens) as registry:
            write(tmp_path / "good.json", {"auths": {registry.host: entry(USER, PASSWORD)}})
            good = {"REGISTRY_AUTH_FILE": str(tmp_path / "good.json")}
            with client(registry.host, environment=good) as used:
                push_layout(Layout(built.folder), repository(used, f"{registry.host}/open"), ["1"])
            warnings: List[str] = []
            with client(
                registry.host, environment=environment, helper_timeout=1, warnings=warnings
            ) as used:
                assert repository(used, f"{registry.host}/open").manifest("1").digest == digest
                with pytest.raises(AccessDenied, match="docker login"):
                    repository(used, f"{registry.host}/closed").manifest("1")
            # Asked once, although two repositories wanted it.
            assert len(warnings) == 1 and "docker-credential-bad" in warnings[0]
