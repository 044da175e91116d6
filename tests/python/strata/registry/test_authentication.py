"""Access control of real registries: basic credentials, and tokens of a token service."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Iterator, List

import pytest

from end_to_end.tools import require
from registries.clients import auth_file, client, repository
from registries.fault_proxy import Fault, FaultProxy
from registries.layouts import LayoutBuilder, noise
from registries.server import PASSWORD, USER, DockerRegistry
from registries.token_service import TokenService
from strata.registry.challenge import parse_challenges
from strata.registry.errors import AccessDenied
from strata.registry.layout import Layout
from strata.registry.push import push_layout
from strata.registry.settings import RegistrySettings


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def logged_in(host: str, password: str = PASSWORD) -> str:
    return json.dumps({"auths": {host: {"auth": encoded(USER, password)}}})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    built = LayoutBuilder(tmp_path / "layout")
    built.image([noise(200_000, "a"), noise(1000, "b")])
    return Layout(built.folder)


@pytest.fixture
def basic(tmp_path: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path / "registry", basic=True) as started:
        yield started


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenService]:
    require("openssl")
    with TokenService(tmp_path / "tokens", {USER: PASSWORD}, public=("open/base",)) as started:
        yield started


@pytest.fixture
def guarded(tmp_path: Path, tokens: TokenService) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path / "registry", tokens=tokens) as started:
        yield started


def test_basic_credentials_are_sent_when_asked_for(
    basic: DockerRegistry, layout: Layout, tmp_path: Path
) -> None:
    with client(basic.host, environment=auth_file(tmp_path, logged_in(basic.host))) as used:
        target = repository(used, f"{basic.host}/app")
        digest = push_layout(layout, target, ["latest"]).digest
        assert target.manifest("latest").digest == digest


def test_without_credentials_the_error_says_how_to_log_in(basic: DockerRegistry) -> None:
    with client(basic.host) as used:
        with pytest.raises(AccessDenied, match="docker login") as caught:
            repository(used, f"{basic.host}/app").manifest("latest")
    assert basic.host in str(caught.value)


def test_wrong_credentials_are_refused_and_not_shown(basic: DockerRegistry, tmp_path: Path) -> None:
    environment = auth_file(tmp_path, logged_in(basic.host, "a wrong secret"))
    with client(basic.host, environment=environment) as used:
        with pytest.raises(AccessDenied, match="refuses the credentials") as caught:
            repository(used, f"{basic.host}/app").manifest("latest")
    assert "secret" not in repr(caught.value) and encoded(USER, "a wrong secret") not in repr(
        caught.value
    )


def test_a_token_is_fetched_once_for_a_whole_push(
    guarded: DockerRegistry, tokens: TokenService, layout: Layout, tmp_path: Path
) -> None:
    environment = auth_file(tmp_path, logged_in(guarded.host))
    with client(guarded.host, environment=environment) as used:
        target = repository(used, f"{guarded.host}/team/app")
        push_layout(layout, target, ["1", "2"])
    assert [request["user"] for request in tokens.requests] == [USER] * len(tokens.requests)
    # One to read, one to write.
    scopes = [request["scopes"] for request in tokens.requests]
    assert scopes == [["repository:team/app:pull"], ["repository:team/app:pull,push"]]


def test_a_token_is_renewed_before_it_expires(tmp_path: Path, layout: Layout) -> None:
    require("openssl")
    with (
        TokenService(tmp_path / "tokens", {USER: PASSWORD}, lifetime=1) as tokens,
        DockerRegistry(tmp_path / "registry", tokens=tokens) as registry,
        FaultProxy(registry.host) as proxy,
    ):
        environment = auth_file(tmp_path, logged_in(proxy.host))
        proxy.faults.append(Fault("^POST", times=2, stall=1))
        with client(proxy.host, environment=environment) as used:
            push_layout(layout, repository(used, f"{proxy.host}/app"), concurrency=1)
        assert not [exchange for exchange in proxy.exchanges[1:] if exchange.status == 401]
    assert len(tokens.requests) > 3


def test_a_token_that_is_refused_in_the_middle_is_renewed(
    guarded: DockerRegistry, tokens: TokenService, layout: Layout, tmp_path: Path
) -> None:
    challenge = f'Bearer realm="{tokens.realm}",service="registry of tests"'
    with FaultProxy(guarded.host) as proxy:
        proxy.faults.append(
            Fault("^PUT .*/uploads/", status=401, headers={"WWW-Authenticate": challenge})
        )
        environment = auth_file(tmp_path, logged_in(proxy.host))
        with client(proxy.host, environment=environment) as used:
            target = repository(used, f"{proxy.host}/app")
            digest = push_layout(layout, target, ["latest"]).digest
            assert target.manifest("latest").digest == digest
    writing = [r for r in tokens.requests if r["scopes"] == ["repository:app:pull,push"]]
    assert len(writing) == 2


def test_mounts_ask_for_the_right_to_read_the_other_repository(
    guarded: DockerRegistry, tokens: TokenService, layout: Layout, tmp_path: Path
) -> None:
    environment = auth_file(tmp_path, logged_in(guarded.host))
    with client(guarded.host, environment=environment) as used:
        push_layout(layout, repository(used, f"{guarded.host}/one"))
        result = push_layout(layout, repository(used, f"{guarded.host}/two"), mount_from=["one"])
    assert {outcome.value for outcome in result.outcomes.values()} == {"mounted"}
    mounting = ["repository:one:pull", "repository:two:pull,push"]
    assert mounting in [request["scopes"] for request in tokens.requests]


def test_public_repositories_are_read_without_credentials(
    guarded: DockerRegistry, tokens: TokenService, layout: Layout, tmp_path: Path
) -> None:
    environment = auth_file(tmp_path, logged_in(guarded.host))
    with client(guarded.host, environment=environment) as used:
        digest = push_layout(layout, repository(used, f"{guarded.host}/open/base"), ["1"]).digest
    with client(guarded.host) as used:
        assert repository(used, f"{guarded.host}/open/base").manifest("1").digest == digest
        with pytest.raises(AccessDenied):
            repository(used, f"{guarded.host}/closed").manifest("1")
        with pytest.raises(AccessDenied):
            push_layout(layout, repository(used, f"{guarded.host}/open/base"), ["2"])


def test_identity_tokens_are_exchanged(
    guarded: DockerRegistry, tokens: TokenService, layout: Layout, tmp_path: Path
) -> None:
    entry = {"auth": encoded(USER, ""), "identitytoken": tokens.identity_token}
    environment = auth_file(tmp_path, json.dumps({"auths": {guarded.host: entry}}))
    with client(guarded.host, environment=environment) as used:
        push_layout(layout, repository(used, f"{guarded.host}/app"), ["1"])
    assert {request["method"] for request in tokens.requests} == {"POST"}


def test_a_token_service_that_is_busy_is_asked_again(
    guarded: DockerRegistry, tokens: TokenService, layout: Layout, tmp_path: Path
) -> None:
    tokens.failures = 2
    waits: List[float] = []
    environment = auth_file(tmp_path, logged_in(guarded.host))
    with client(guarded.host, environment=environment, waits=waits) as used:
        push_layout(layout, repository(used, f"{guarded.host}/app"))
    assert waits == [0.5, 1.0]


def test_wrong_credentials_at_a_token_service_are_named(
    guarded: DockerRegistry, tokens: TokenService, tmp_path: Path
) -> None:
    environment = auth_file(tmp_path, logged_in(guarded.host, "wrong secret"))
    with (
        client(guarded.host, environment=environment) as used,
        pytest.raises(AccessDenied, match="token service .* refuses the credentials") as caught,
    ):
        repository(used, f"{guarded.host}/app").manifest("latest")
    assert "secret" not in str(caught.value)


def test_credentials_do_not_follow_a_redirect_to_another_host(
    basic: DockerRegistry, registry: DockerRegistry, layout: Layout, tmp_path: Path
) -> None:
    with FaultProxy(registry.host) as elsewhere, FaultProxy(basic.host) as front:
        with client(registry.host) as used:
            digest = push_layout(layout, repository(used, f"{registry.host}/app"), ["1"]).digest
        location = f"http://{elsewhere.host}/v2/app/manifests/1"
        front.faults.append(
            Fault("^GET /v2/app", after=1, status=307, headers={"Location": location})
        )
        environment = auth_file(tmp_path, logged_in(front.host))
        with client(front.host, environment=environment) as used:
            assert repository(used, f"{front.host}/app").manifest("1").digest == digest
        assert [e.headers.get("Authorization") is None for e in front.exchanges] == [True, False]
        (followed,) = elsewhere.exchanges
        assert "Authorization" not in followed.headers


def test_plain_http_is_not_used_without_being_asked_for(registry: DockerRegistry) -> None:
    with client(registries={registry.host: RegistrySettings()}) as used:
        with pytest.raises(Exception, match="plain_http") as caught:
            repository(used, f"{registry.host}/app").manifest("1")
    assert "does not speak TLS" in str(caught.value)


def test_challenges_are_read_as_servers_write_them() -> None:
    (bearer,) = parse_challenges(
        ['Bearer realm="https://auth.example/token",service="a \\"b\\"",scope="x:y:pull,push"']
    )
    assert bearer.scheme == "bearer"
    assert bearer.parameters["service"] == 'a "b"'
    assert bearer.parameters["scope"] == "x:y:pull,push"
    first, second = parse_challenges(['Basic realm="a", Bearer realm=b , scope="c"'])
    assert (first.scheme, second.parameters) == ("basic", {"realm": "b", "scope": "c"})
    assert [c.scheme for c in parse_challenges(["Negotiate", 'Basic realm="x"'])] == [
        "negotiate",
        "basic",
    ]
    assert parse_challenges(["", ",,,", "="]) == []
