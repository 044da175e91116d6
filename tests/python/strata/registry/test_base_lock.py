"""What a registry says of a base image, locked; and blobs that are fetched when they are needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

from registries.clients import client, repository
from registries.fault_proxy import Fault, FaultProxy
from registries.layouts import LayoutBuilder, digest_of, noise
from registries.server import DockerRegistry
from strata.commands import base_lock, fetch_blob
from strata.errors import StrataError
from strata.oci.base import read_layout
from strata.oci.base_lock import parse_base_lock, render_base_lock, stale_reason
from strata.platforms import Platform
from strata.registry.base_lock import lock_image
from strata.registry.layout import Layout
from strata.registry.push import push_layout

SHARED, OF_AMD64, OF_ARM64 = noise(50_000, "a"), noise(30_000, "b"), noise(30_000, "c")


def push_index(folder: Path, registry: DockerRegistry) -> str:
    """The digest of an index for two platforms and one that no image can have."""
    built = LayoutBuilder(folder)
    images = [
        built.image([SHARED, OF_AMD64], "amd64", listed=False),
        built.image([SHARED, OF_ARM64], "arm64", listed=False),
        # As BuildKit lists its attestations.
        built.image([noise(10, "d")], "unknown", listed=False),
    ]
    digest: str = built.index(images)["digest"]
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/team/base")
        push_layout(Layout(built.folder), target, ["stable"])
    return digest


def test_a_tag_is_locked_with_all_platforms_and_no_layer(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    digest = push_index(tmp_path / "layout", registry)
    name = f"{proxy.host}/team/base"
    with client(proxy.host) as used:
        lock = lock_image(repository(used, name), name, "stable", "")
    layers = [digest_of(content) for content in (SHARED, OF_AMD64, OF_ARM64)]
    asked = [exchange.path for exchange in proxy.exchanges]
    assert not [path for path in asked if path.endswith(tuple(layers))]

    text = render_base_lock(lock, "app:base")
    assert "`pants generate-lockfiles --resolve=app:base`" in text
    again = parse_base_lock(text, "base.lock")
    assert again == lock and again.digest == digest
    for architecture, own in (("amd64", OF_AMD64), ("arm64", OF_ARM64)):
        base = read_layout(again.read, Platform(architecture), "base.lock")
        assert base.config["architecture"] == architecture
        assert [layer.digest for layer in base.layers] == [layers[0], digest_of(own)]
        assert [layer.size for layer in base.layers] == [50_000, 30_000]
    with pytest.raises(StrataError, match="base.lock: .* for s390x"):
        read_layout(again.read, Platform("s390x"), "base.lock")


def test_an_image_is_locked_by_its_digest(registry: DockerRegistry, tmp_path: Path) -> None:
    index = push_index(tmp_path / "layout", registry)
    name = f"{registry.host}/team/base"
    with client(registry.host) as used:
        target = repository(used, name)
        arm64 = target.manifest(index).children[1].digest
        lock = lock_image(target, name, "", arm64)
    assert len(lock.contents) == 2
    assert read_layout(lock.read, Platform("arm64"), "it").config["architecture"] == "arm64"


def test_a_changed_lock_is_refused(registry: DockerRegistry, tmp_path: Path) -> None:
    push_index(tmp_path / "layout", registry)
    name = f"{registry.host}/team/base"
    with client(registry.host) as used:
        lock = lock_image(repository(used, name), name, "stable", "")
    text = render_base_lock(lock, "app:base")
    with pytest.raises(StrataError, match="base.lock: the content of sha256:.* was changed"):
        parse_base_lock(text.replace("50000", "50001"), "base.lock")
    with pytest.raises(StrataError, match="'content' has nothing for 'digest'"):
        parse_base_lock(text.replace(f'digest = "{lock.digest}"', 'digest = "x"', 1), "base.lock")
    with pytest.raises(StrataError, match="'format' must be 1, not 2"):
        parse_base_lock(text.replace("format = 1", "format = 2"), "base.lock")
    with pytest.raises(StrataError, match="unknown key 'extra'"):
        parse_base_lock(f"extra = 1\n{text}", "base.lock")


@pytest.mark.parametrize(
    ("repository_name", "tag", "digest", "reason"),
    [
        ("r.example/base", "1", "", None),
        ("r.example/base", "", "sha256:1", None),
        ("r.example/base", "2", "", "it was made for the tag '1', and the target says '2'"),
        ("r.example/other", "1", "", "the repository 'r.example/base'"),
        ("r.example/base", "", "sha256:2", "the digest 'sha256:1'"),
    ],
)
def test_a_lock_for_something_else_is_stale(
    repository_name: str, tag: str, digest: str, reason: "str | None"
) -> None:
    text = '{"layers":[]}'
    lines = [
        "format = 1",
        'repository = "r.example/base"',
        'tag = "1"',
        f'digest = "{digest_of(text.encode())}"',
        'media_type = "application/vnd.oci.image.manifest.v1+json"',
        "[[content]]",
        f'digest = "{digest_of(text.encode())}"',
        f"text = '{text}'",
    ]
    lock = parse_base_lock("\n".join(lines), "base.lock")
    if digest:
        digest = digest.replace("sha256:1", lock.digest)
    found = stale_reason(lock, repository_name, tag, digest)
    expected = reason and reason.replace("sha256:1", lock.digest)
    assert (found is None) if expected is None else (found is not None and expected in found)


def settings(host: str) -> Dict[str, Any]:
    return {"registries": {host: {"plain_http": True}}}


def test_commands_lock_and_fetch(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    push_index(tmp_path / "layout", registry)
    name = f"{proxy.host}/team/base"
    base_lock.run(
        {
            "address": "//:base",
            "repository": name,
            "tag": "stable",
            "digest": "",
            "settings": settings(proxy.host),
            "output": "folder/base.lock",
        },
        tmp_path,
    )
    lock = parse_base_lock((tmp_path / "folder/base.lock").read_text(), "base.lock")
    layer = read_layout(lock.read, Platform("amd64"), "base.lock").layers[0]

    # The connection is cut, and the download goes on where it was.
    proxy.faults.append(Fault(f"GET .*{layer.digest}", cut_response_at=20_000))
    fetch_blob.run(
        {
            "repository": name,
            "digest": layer.digest,
            "size": layer.size,
            "settings": settings(proxy.host),
            "cache": str(tmp_path / "cache"),
            "output": "blob",
        },
        tmp_path,
    )
    assert (tmp_path / "blob").read_bytes() == SHARED
    ranges = [e.headers.get("Range") for e in proxy.exchanges if e.path.endswith(layer.digest)]
    assert len(ranges) == 2 and ranges[0] is None and str(ranges[1]).startswith("bytes=")
    # What the build keeps is not kept twice.
    assert not [
        path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size
    ]


def test_what_a_registry_lacks_is_named(registry: DockerRegistry, tmp_path: Path) -> None:
    spec = {
        "address": "//:base",
        "repository": f"{registry.host}/team/base",
        "tag": "gone",
        "digest": "",
        "settings": settings(registry.host),
        "output": "base.lock",
    }
    with pytest.raises(StrataError, match="team/base: gone"):
        base_lock.run(spec, tmp_path)
    assert json.dumps(spec) and not (tmp_path / "base.lock").exists()
