"""``python -m strata publish``, as Pants starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from registries.fault_proxy import Fault, FaultProxy
from registries.layouts import LayoutBuilder, digest_of, noise
from registries.server import PASSWORD, USER, DockerRegistry

ENGINE = next(p for p in Path(__file__).resolve().parents if (p / "src/python/strata").exists())


@pytest.fixture
def image(tmp_path: Path) -> Dict[str, Any]:
    built = LayoutBuilder(tmp_path / "layout")
    return built.image([noise(400_000, "a"), noise(200_000, "b")])


def started(folder: Path, host: str, digest: str, **more: Any) -> "subprocess.Popen[str]":
    spec = {
        "target": "app:image",
        "layout": str(folder / "layout"),
        "digest": digest,
        "repository": f"{host}/app",
        "tags": ["1", "2"],
        "settings": {"registries": {host: {"plain_http": True}}, "first_delay": 0.05},
        "locations": str(folder / "locations"),
        "mount_from": [],
        **more,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    return subprocess.Popen(
        [sys.executable, "-m", "strata", "publish", str(folder / "spec.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(ENGINE / "src/python"),
            "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
        },
        text=True,
    )


def published(folder: Path, host: str, digest: str, **more: Any) -> "tuple[int, str]":
    process = started(folder, host, digest, **more)
    output, said = process.communicate(timeout=120)
    # Standard output is for data, and there is none.
    assert output == ""
    return process.returncode, said


def test_each_blob_and_tag_has_its_line(
    registry: DockerRegistry, image: Dict[str, Any], tmp_path: Path
) -> None:
    code, said = published(tmp_path, registry.host, image["digest"])
    assert code == 0
    lines = said.splitlines()
    assert len([line for line in lines if ": uploaded (" in line]) == 3
    assert f"{registry.host}/app@{image['digest']}: pushed" in lines
    assert f"{registry.host}/app:2: {image['digest']}" in lines
    assert lines[-1].endswith("3 blobs uploaded (600.2 kB), 0 mounted, 0 already there")
    code, said = published(tmp_path, registry.host, image["digest"])
    assert (
        code == 0
        and "already there" in said
        and "uploaded (" not in said.replace("0 blobs uploaded (0 B)", "")
    )


def test_every_kind_of_bad_weather_at_once(
    registry: DockerRegistry, proxy: FaultProxy, image: Dict[str, Any], tmp_path: Path
) -> None:
    proxy.faults += [
        Fault("^HEAD", status=500),
        Fault("^POST", status=429, headers={"Retry-After": "1"}),
        Fault("^PUT .*/uploads/", cut_request_at=100_000),
        Fault("^GET .*/uploads/", status=503),
        Fault("^PATCH", cut_request_at=50_000),
        Fault("^PUT .*/manifests/", status=502),
        Fault("^PUT .*/manifests/", after=1, stall=0.5),
    ]
    start = time.monotonic()
    code, said = published(tmp_path, proxy.host, image["digest"])
    assert code == 0, said
    assert time.monotonic() - start >= 1
    assert not [fault for fault in proxy.faults if fault.times and "PATCH" not in fault.pattern]


def test_what_fails_names_the_target_and_shows_no_credential(
    image: Dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "auth.json").write_text("{}")
    with DockerRegistry(tmp_path / "read-only", read_only=True) as registry:
        code, said = published(tmp_path, registry.host, image["digest"])
        assert code == 1 and said.startswith("app:image: ") and "read-only" in said
    with DockerRegistry(tmp_path / "basic", basic=True) as registry:
        entry = {"username": USER, "password": "not the password"}
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: entry}}))
        code, said = published(tmp_path, registry.host, image["digest"])
        assert code == 1 and "refuses the credentials" in said
        assert "not the password" not in said
        entry["password"] = PASSWORD
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: entry}}))
        code, said = published(tmp_path, registry.host, image["digest"])
        assert code == 0 and PASSWORD not in said
        kept: List[str] = [p.read_text() for p in (tmp_path / "locations").iterdir()]
        assert not [text for text in kept if PASSWORD in text or USER in text]


def test_blobs_of_a_base_come_from_where_it_is(
    registry: DockerRegistry, image: Dict[str, Any], tmp_path: Path
) -> None:
    """In its own registry they are mounted, and another one gets them through here."""
    lacking = digest_of(noise(400_000, "a"))
    code, said = published(tmp_path, registry.host, image["digest"])
    assert code == 0, said
    (tmp_path / "layout/blobs/sha256" / lacking[7:]).unlink()
    remote = {lacking: f"{registry.host}/app"}
    with FaultProxy(registry.host) as proxy:
        way = {"registries": {h: {"plain_http": True} for h in (registry.host, proxy.host)}}
        code, said = published(
            tmp_path,
            registry.host,
            image["digest"],
            repository=f"{registry.host}/derived",
            remote=remote,
            locations="",
            settings=way,
        )
        assert code == 0 and "mounted from app (400.0 kB)" in said
        with DockerRegistry(tmp_path / "other") as other:
            way["registries"][other.host] = {"plain_http": True}
            remote = {lacking: f"{proxy.host}/app"}
            for _ in range(2):
                code, said = published(
                    tmp_path, other.host, image["digest"], remote=remote, settings=way
                )
                assert code == 0, said
            assert other.has_blob("app", lacking)
        # Once: the second time nobody needs the bytes.
        assert len(proxy.requests("^GET .*/blobs/")) == 1


def test_an_interrupt_ends_it_and_sets_no_tag(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    image = LayoutBuilder(tmp_path / "layout").image([noise(12_000_000, "a")])
    proxy.faults.append(Fault("^PUT .*/uploads/", after=1, pause=0.2))
    proxy.faults.append(Fault("^PUT .*/uploads/", pause=0.2))
    process = started(tmp_path, proxy.host, image["digest"])
    deadline = time.monotonic() + 60
    while not proxy.requests("^POST") and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "app:image: interrupted" in said and "Traceback" not in said
    assert not proxy.requests("^PUT .*/manifests/")
