"""TLS with a private authority, and what is said when it is not trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from end_to_end.tools import require
from registries.certificates import Certificate, make_authority, make_server_certificate
from registries.clients import client, repository
from registries.layouts import LayoutBuilder, noise
from registries.server import DockerRegistry
from strata.errors import StrataError
from strata.registry.errors import RegistryError, Unreachable
from strata.registry.layout import Layout
from strata.registry.proxy import proxy_for
from strata.registry.push import push_layout
from strata.registry.settings import ClientSettings, RegistrySettings
from strata.registry.url import Url


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    require("openssl")
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def registry(authority: Certificate, tmp_path: Path) -> Iterator[DockerRegistry]:
    certificate = make_server_certificate(authority, tmp_path)
    with DockerRegistry(tmp_path / "registry", tls=certificate) as started:
        yield started


def test_a_private_authority_is_trusted_where_it_is_named(
    registry: DockerRegistry, authority: Certificate, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    built.image([noise(3_000_000, "a"), noise(100, "b")])
    settings = RegistrySettings(ca_file=str(authority.certificate))
    with client(registries={registry.host: settings}) as used:
        target = repository(used, f"{registry.host}/app")
        digest = push_layout(Layout(built.folder), target, ["1"]).digest
        manifest = target.manifest("1")
        assert manifest.digest == digest
        target.download_blob(manifest.blobs[1], tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == noise(3_000_000, "a")


def test_an_unknown_authority_is_refused_at_once(registry: DockerRegistry) -> None:
    waits: list = []
    with client(registries={}, waits=waits) as used:
        with pytest.raises(Unreachable, match="is not trusted.*ca_file"):
            repository(used, f"{registry.host}/app").manifest("1")
    assert waits == []


def test_an_authority_that_cannot_be_read_is_named(registry: DockerRegistry) -> None:
    for path in ("/nonexistent/ca.pem", __file__):
        settings = RegistrySettings(ca_file=path)
        with client(registries={registry.host: settings}) as used:
            with pytest.raises(RegistryError, match="no certificates") as caught:
                repository(used, f"{registry.host}/app").manifest("1")
        assert path in str(caught.value)


def test_settings_come_back_as_they_went() -> None:
    settings = ClientSettings(
        registries={"a.example": RegistrySettings(("m.example", "http://n:1/x"), True, "/ca")},
        attempts=3,
    )
    assert ClientSettings.from_json(settings.to_json()) == settings
    assert [str(url) for url in settings.mirrors("a.example")] == [
        "https://m.example",
        "http://n:1/x",
    ]
    assert str(settings.endpoint("a.example")) == "http://a.example"
    assert str(settings.endpoint("b.example")) == "https://b.example"
    assert str(settings.endpoint("docker.io")) == "https://registry-1.docker.io"
    with pytest.raises(StrataError, match="settings of registries"):
        ClientSettings.from_json({"registries": {"a.example": {"mirror": []}}})
    with pytest.raises(StrataError, match="has a user in it"):
        ClientSettings(
            registries={"a.example": RegistrySettings(("http://me:secret@x.example",))}
        ).mirrors("a.example")


def test_the_machine_s_proxy_is_used_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    far = Url.parse("https://registry.example")
    assert proxy_for(far) is None
    monkeypatch.setenv("https_proxy", "http://me:pass@proxy.example:3128")
    proxy = proxy_for(far)
    assert proxy is not None and (proxy.host, proxy.port) == ("proxy.example", 3128)
    assert proxy.headers == {"Proxy-Authorization": "Basic bWU6cGFzcw=="}
    assert "bWU6" not in repr(proxy)
    assert proxy_for(Url.parse("http://registry.example")) is None
    for near in ("https://127.0.0.1:5000", "https://localhost", "https://[::1]:5000"):
        assert proxy_for(Url.parse(near)) is None
    monkeypatch.setenv("no_proxy", ".example")
    assert proxy_for(far) is None
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", "socks5://proxy.example")
    with pytest.raises(RegistryError, match="https_proxy"):
        proxy_for(far)
