"""Layouts into a real registry: what is sent, and what is not sent again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import List

import pytest

from registries.clients import client, repository
from registries.fault_proxy import FaultProxy
from registries.layouts import LayoutBuilder, digest_of, noise
from registries.server import DockerRegistry
from strata.errors import StrataError
from strata.registry.body import FileSource
from strata.registry.errors import NotFound, RegistryError
from strata.registry.layout import Layout
from strata.registry.locations import BlobLocations
from strata.registry.progress import Progress
from strata.registry.push import push_layout
from strata.registry.referrers import fallback_tag, referrers
from strata.registry.upload import BlobOutcome

LAYERS = [noise(300_000, "a"), noise(200_000, "b"), noise(70_000, "c")]


def test_an_image_arrives_byte_for_byte_under_all_its_tags(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    digest = built.image(LAYERS)["digest"]
    lines: List[str] = []
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/team/app")
        result = push_layout(
            Layout(built.folder), target, ["1.0", "latest"], progress=Progress(lines.append)
        )
        assert result.digest == digest
        assert set(result.outcomes.values()) == {BlobOutcome.UPLOADED}
        assert result.uploaded == sum(map(len, LAYERS)) + target.manifest("1.0").blobs[0].size
        assert sorted(target.tags()) == ["1.0", "latest"]
        for name in ("1.0", "latest", digest):
            manifest = target.manifest(name)
            assert manifest.digest == digest
            assert target.resolve(name) == manifest.descriptor
        for blob, content in zip(manifest.blobs[1:], LAYERS):
            assert target.read_blob(blob) == content
    text = "\n".join(lines)
    assert f"{registry.host}/team/app:latest: {digest}" in text
    assert digest_of(LAYERS[0])[7:19] in text and "uploaded" in text


def test_a_second_push_sends_no_blob_and_no_manifest(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    built.image(LAYERS)
    with client(proxy.host) as used:
        target = repository(used, f"{proxy.host}/app")
        push_layout(Layout(built.folder), target, ["latest"])
        proxy.forget()
        result = push_layout(Layout(built.folder), target, ["latest"])
    assert result.uploaded == 0
    assert {exchange.method for exchange in proxy.exchanges} == {"HEAD"}
    assert proxy.bytes_from_client < 2000


def test_after_a_small_change_one_layer_and_metadata_are_sent(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    first, second = LayoutBuilder(tmp_path / "first"), LayoutBuilder(tmp_path / "second")
    first.image([*LAYERS, noise(5000, "before")])
    second.image([*LAYERS, noise(5000, "after")])
    with client(proxy.host) as used:
        target = repository(used, f"{proxy.host}/app")
        push_layout(Layout(first.folder), target, ["latest"])
        proxy.forget()
        result = push_layout(Layout(second.folder), target, ["latest"])
    assert sorted(o.value for o in result.outcomes.values()) == ["exists"] * 3 + ["uploaded"] * 2
    metadata = 8000
    assert 5000 < proxy.bytes_from_client < 5000 + metadata


def test_blobs_are_mounted_from_where_a_push_before_left_them(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    first, second = LayoutBuilder(tmp_path / "first"), LayoutBuilder(tmp_path / "second")
    first.image(LAYERS)
    second.image([*LAYERS, noise(1000, "more")])
    with client(proxy.host) as used:
        push_layout(
            Layout(first.folder),
            repository(used, f"{proxy.host}/one"),
            locations=BlobLocations(tmp_path / "locations"),
        )
        proxy.forget()
        # Another process, which knows no more than the folder says.
        result = push_layout(
            Layout(second.folder),
            repository(used, f"{proxy.host}/two"),
            locations=BlobLocations(tmp_path / "locations"),
        )
    assert [result.outcomes[digest_of(layer)] for layer in LAYERS] == [BlobOutcome.MOUNTED] * 3
    assert result.uploaded < 2000
    assert sum(exchange.sent for exchange in proxy.exchanges) < 4000


def test_a_blob_that_is_gone_from_where_it_was_is_uploaded(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    built.image(LAYERS)
    locations = BlobLocations()
    locations.record(registry.host, "never/was", {digest_of(layer): True for layer in LAYERS})
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        result = push_layout(Layout(built.folder), target, locations=locations)
    assert set(result.outcomes.values()) == {BlobOutcome.UPLOADED}
    assert locations.find(registry.host, digest_of(LAYERS[0])) == ["app"]


def test_twenty_images_that_share_most_layers_upload_each_blob_once(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    shared = [noise(90_000, f"shared {number}") for number in range(10)]
    folders = []
    for number in range(20):
        built = LayoutBuilder(tmp_path / f"layout{number}")
        built.image([*shared, noise(10_000, f"own {number}")])
        folders.append(built.folder)
    for number, folder in enumerate(folders):
        with client(proxy.host) as used:
            push_layout(
                Layout(folder),
                repository(used, f"{proxy.host}/app{number}"),
                ["latest"],
                locations=BlobLocations(tmp_path / "locations"),
            )
    uploads = [e.query.rpartition("digest=")[2] for e in proxy.requests("^PUT .*/uploads/")]
    # Ten shared layers, twenty of their own, twenty configurations.
    assert len(uploads) == len(set(uploads)) == 50
    for number, folder in enumerate(folders):
        for blob in Layout(folder).image().blobs:
            assert registry.has_blob(f"app{number}", blob.digest)


def test_an_index_goes_with_its_images_and_their_referrers(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    amd64 = built.image(LAYERS[:2], "amd64", listed=False)
    arm64 = built.image(LAYERS[1:], "arm64", listed=False)
    index = built.index([amd64, arm64])
    sbom = built.referrer(amd64, "application/spdx+json", b'{"of": "amd64"}')
    signature = built.referrer(sbom, "application/x-signature", b"signed")
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        result = push_layout(Layout(built.folder), target, ["multi"])
        assert result.digest == index["digest"]
        pulled = target.manifest("multi")
        assert pulled.is_index
        platforms = [child.extra["platform"]["architecture"] for child in pulled.children]
        assert platforms == ["amd64", "arm64"]
        for child in pulled.children:
            assert target.manifest(child.digest).digest == child.digest
        # This registry has no list of referrers.
        assert target.listed_referrers(amd64["digest"]) is None
        (found,) = referrers(target, amd64["digest"], "application/spdx+json")
        assert found.digest == sbom["digest"]
        assert [item.digest for item in referrers(target, sbom["digest"])] == [signature["digest"]]
        assert referrers(target, arm64["digest"]) == ()
        assert referrers(target, amd64["digest"], "application/else") == ()
        # Again, and the fallback tag does not list it twice.
        push_layout(Layout(built.folder), target, ["multi"])
        assert len(referrers(target, amd64["digest"])) == 1
        assert fallback_tag(amd64["digest"]) in target.tags()


def test_referrers_that_are_there_are_not_sent_again(proxy: FaultProxy, tmp_path: Path) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    image = built.image(LAYERS[:1])
    sbom = built.referrer(image, "application/spdx+json", b"{}")
    layout = Layout(built.folder)
    with client(proxy.host) as used:
        target = repository(used, f"{proxy.host}/app")
        push_layout(layout, target, ["1"])
        proxy.forget()
        push_layout(layout, target, ["1"])
        assert {exchange.method for exchange in proxy.exchanges} == {"HEAD", "GET"}
        # A push that was cut after the manifest is completed by the next one.
        elsewhere = repository(used, f"{proxy.host}/cut")
        for blob in layout.image().blobs:
            path = layout.blob_path(blob.digest)
            elsewhere.push_blob(blob, FileSource(str(path), blob.size))
        (manifest,) = layout.image().referrers
        elsewhere.put_manifest(manifest)
        assert referrers(elsewhere, image["digest"]) == ()
        push_layout(layout, elsewhere, ["1"])
        assert [item.digest for item in referrers(elsewhere, image["digest"])] == [sbom["digest"]]


def test_what_is_not_in_the_layout_may_be_in_the_registry(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    base, derived = LayoutBuilder(tmp_path / "base"), LayoutBuilder(tmp_path / "derived")
    base.image(LAYERS[:1])
    derived.image(LAYERS[:2])
    blob = derived.folder / "blobs/sha256" / digest_of(LAYERS[0])[7:]
    blob.unlink()
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/derived")
        with pytest.raises(StrataError, match="is not in the layout"):
            push_layout(Layout(derived.folder), target, ["latest"])
        with pytest.raises(NotFound):
            target.manifest("latest")
        push_layout(Layout(base.folder), repository(used, f"{registry.host}/base"))
        result = push_layout(Layout(derived.folder), target, ["latest"], mount_from=["base"])
    assert result.outcomes[digest_of(LAYERS[0])] is BlobOutcome.MOUNTED


def test_no_more_blobs_than_allowed_are_under_way(
    registry: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strata.registry import upload

    running: List[int] = []
    most = [0]
    lock = threading.Lock()
    original = upload.BlobUpload.run

    def counted(self, mount_from=()):  # type: ignore[no-untyped-def]
        with lock:
            running.append(1)
            most[0] = max(most[0], len(running))
        try:
            return original(self, mount_from)
        finally:
            with lock:
                running.pop()

    monkeypatch.setattr(upload.BlobUpload, "run", counted)
    built = LayoutBuilder(tmp_path / "layout")
    built.image([noise(400_000, f"layer {number}") for number in range(12)])
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        push_layout(Layout(built.folder), target, concurrency=3)
    assert 1 < most[0] <= 3


def test_damaged_and_ambiguous_layouts_are_refused(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        with pytest.raises(StrataError, match="no index of an OCI layout"):
            push_layout(Layout(built.folder), target)
        first = built.image(LAYERS[:1])
        built.image(LAYERS[1:])
        with pytest.raises(StrataError, match="it has 2 images"):
            push_layout(Layout(built.folder), target)
        push_layout(Layout(built.folder), target, digest=first["digest"])
        manifest = built.folder / "blobs/sha256" / first["digest"][7:]
        manifest.write_bytes(manifest.read_bytes() + b" ")
        with pytest.raises(RegistryError, match="its digest is"):
            push_layout(Layout(built.folder), target, digest=first["digest"])


def test_a_blob_that_is_not_what_its_name_says_is_refused_and_sets_no_tag(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    built.image(LAYERS)
    blob = built.folder / "blobs/sha256" / digest_of(LAYERS[1])[7:]
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        with pytest.raises(RegistryError, match="DIGEST_INVALID"):
            push_layout(Layout(built.folder), target, ["latest"])
        assert target.resolve("latest") is None


def test_a_read_only_registry_is_named(tmp_path: Path) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    built.image(LAYERS)
    with DockerRegistry(tmp_path / "registry", read_only=True) as registry:
        with client(registry.host) as used:
            target = repository(used, f"{registry.host}/app")
            with pytest.raises(RegistryError, match="read-only") as caught:
                push_layout(Layout(built.folder), target, ["latest"])
    assert registry.host in str(caught.value) and caught.value.status == 405
