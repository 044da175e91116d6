"""Registries that cut, stall, refuse and fail: what is repeated, from where, and when it ends."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Dict, List

import pytest

from registries.clients import client, repository
from registries.fault_proxy import Fault, FaultProxy
from registries.layouts import LayoutBuilder, digest_of, noise
from registries.server import DockerRegistry
from strata.registry.body import BlobSource, BytesSource, Cancelled
from strata.registry.client import RegistryClient
from strata.registry.credentials import Credentials
from strata.registry.descriptor import Descriptor
from strata.registry.errors import DigestMismatch, NotFound, RegistryError, Unreachable
from strata.registry.layout import Layout
from strata.registry.push import push_layout
from strata.registry.retry import seconds_of
from strata.registry.settings import ClientSettings, RegistrySettings
from strata.registry.upload import BlobOutcome

CHUNK = 256 << 10
CONTENT = noise(3 * CHUNK + 1000, "a layer")
BLOB = Descriptor("application/octet-stream", digest_of(CONTENT), len(CONTENT))


def push(proxy: FaultProxy, waits: List[float], **settings: object) -> BlobOutcome:
    with client(proxy.host, waits=waits, chunk_size=CHUNK, **settings) as used:
        target = repository(used, f"{proxy.host}/app")
        outcome, _ = target.push_blob(BLOB, BytesSource(CONTENT))
        return outcome


def test_an_upload_that_is_cut_begins_anew_in_chunks(
    registry: DockerRegistry, proxy: FaultProxy
) -> None:
    """The registry got half of it, and forgets such an upload."""
    proxy.faults.append(Fault("^PUT", cut_request_at=400_000))
    waits: List[float] = []
    assert push(proxy, waits) is BlobOutcome.UPLOADED
    assert registry.has_blob("app", BLOB.digest)
    assert waits[0] == 0.5
    assert [e.sent for e in proxy.requests("^PATCH")][-4:] == [CHUNK, CHUNK, CHUNK, 1000]


def test_an_upload_goes_on_where_the_registry_says(
    registry: DockerRegistry, proxy: FaultProxy
) -> None:
    """Whoever stands in front keeps bodies until they are whole, as nginx does: the chunk that is
    cut is lost, and those before it are not."""
    proxy.faults.append(Fault("^PUT", status=413))
    proxy.faults.append(Fault("^PATCH", after=2, cut_request_at=1000, forward=False))
    waits: List[float] = []
    assert push(proxy, waits) is BlobOutcome.UPLOADED
    assert registry.has_blob("app", BLOB.digest)
    chunks = proxy.requests("^PATCH")
    assert [e.sent for e in chunks] == [CHUNK, CHUNK, 1000, CHUNK, 1000]
    assert chunks[3].headers["Content-Range"] == f"{2 * CHUNK}-{3 * CHUNK - 1}"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_upload_survives_a_bad_answer(
    registry: DockerRegistry, proxy: FaultProxy, status: int
) -> None:
    proxy.faults.append(Fault("^PUT", status=status, times=2))
    waits: List[float] = []
    assert push(proxy, waits) is BlobOutcome.UPLOADED
    assert registry.has_blob("app", BLOB.digest)
    assert waits == [0.5, 1.0]


def test_retry_after_is_kept(registry: DockerRegistry, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^POST", status=429, headers={"Retry-After": "7"}))
    proxy.faults.append(Fault("^PUT", status=503, headers={"Retry-After": "1000000"}))
    waits: List[float] = []
    push(proxy, waits)
    assert waits == [7.0, 300.0]
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_of("soon") == seconds_of("") == 0


def test_a_body_that_is_too_large_goes_in_chunks(
    registry: DockerRegistry, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("^PUT", status=413))
    waits: List[float] = []
    assert push(proxy, waits) is BlobOutcome.UPLOADED
    assert waits == []
    assert len(proxy.requests("^PATCH")) == 4


def test_a_registry_without_chunks_gets_the_whole_again(
    registry: DockerRegistry, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("^PUT", cut_request_at=400_000))
    proxy.faults.append(Fault("^PATCH", status=416, after=1))
    waits: List[float] = []
    assert push(proxy, waits) is BlobOutcome.UPLOADED
    assert [e.sent for e in proxy.requests("^PUT")] == [400_000, len(CONTENT)]


def test_a_stalled_connection_is_given_up(registry: DockerRegistry, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^PUT", stall=3))
    waits: List[float] = []
    assert push(proxy, waits, read_timeout=0.5) is BlobOutcome.UPLOADED
    assert waits == [0.5]


def test_a_slow_connection_is_not_given_up(registry: DockerRegistry, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^PUT", pause=0.03))
    waits: List[float] = []
    assert push(proxy, waits, read_timeout=4) is BlobOutcome.UPLOADED
    assert waits == []


def test_attempts_end_with_what_was_wrong(registry: DockerRegistry, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^(PUT|PATCH)", status=500, times=100))
    waits: List[float] = []
    with pytest.raises(Unreachable, match="500 .*4 attempts") as caught:
        push(proxy, waits, attempts=4)
    assert waits == [0.5, 1.0, 2.0]
    assert proxy.host in str(caught.value) and BLOB.digest in str(caught.value)
    assert "_state" not in str(caught.value)


def test_nobody_at_home_is_said_after_all_attempts(registry: DockerRegistry) -> None:
    registry.stop()
    waits: List[float] = []
    with client(registry.host, waits=waits, attempts=3) as used:
        with pytest.raises(Unreachable, match="refused .3 attempts"):
            repository(used, f"{registry.host}/app").manifest("1")
    assert waits == [0.5, 1.0]


def test_a_failure_ends_the_other_uploads_soon(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    layers = [noise(12_000_000, "slow"), noise(1000, "refused")]
    built.image(layers)
    proxy.faults.append(Fault(f"^PUT .*{digest_of(layers[0])[7:]}", pause=0.1))
    proxy.faults.append(Fault(f"^PUT .*{digest_of(layers[1])[7:]}", status=403, stall=0.5))
    with client(proxy.host) as used:
        target = repository(used, f"{proxy.host}/app")
        with pytest.raises(RegistryError, match="403"):
            push_layout(Layout(built.folder), target, ["latest"])
    assert max(e.sent for e in proxy.requests("^PUT")) < 12_000_000
    assert not proxy.requests("^PUT .*/manifests/")


def test_uploads_can_be_cancelled(registry: DockerRegistry) -> None:
    with client(registry.host) as used:

        def stop(position: int) -> None:
            used.cancelled.set()

        target = repository(used, f"{registry.host}/app")
        with pytest.raises(Cancelled):
            target.push_blob(BLOB, BytesSource(CONTENT), on_position=stop)
    assert not registry.has_blob("app", BLOB.digest)


def test_nobody_waits_once_another_has_failed(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    layers = [noise(2000, "asked to wait"), noise(1000, "refused")]
    built.image(layers)
    busy, wrong = (digest_of(layer)[7:] for layer in layers)
    proxy.faults.append(Fault(f"^PUT .*{busy}", status=429, headers={"Retry-After": "60"}))
    proxy.faults.append(Fault(f"^PUT .*{wrong}", status=403, stall=1))
    settings = ClientSettings(registries={proxy.host: RegistrySettings(plain_http=True)})
    start = time.monotonic()
    with RegistryClient(settings, Credentials({"REGISTRY_AUTH_FILE": "/nonexistent"})) as used:
        target = repository(used, f"{proxy.host}/app")
        with pytest.raises(RegistryError, match="403"):
            push_layout(Layout(built.folder), target, ["latest"])
    assert time.monotonic() - start < 30


def stored(registry: DockerRegistry) -> Dict[str, object]:
    with client(registry.host) as used:
        repository(used, f"{registry.host}/app").push_blob(BLOB, BytesSource(CONTENT))
    return {}


def test_a_download_goes_on_where_it_was_cut(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    stored(registry)
    proxy.faults.append(Fault("^GET", cut_response_at=300_000))
    proxy.faults.append(Fault("^GET", cut_response_at=100_000))
    waits: List[float] = []
    positions: List[int] = []
    with client(proxy.host, waits=waits) as used:
        target = repository(used, f"{proxy.host}/app")
        target.download_blob(BLOB, tmp_path / "cache/blob", positions.append)
    assert (tmp_path / "cache/blob").read_bytes() == CONTENT
    assert not (tmp_path / "cache/blob.partial").exists()
    ranges = [e.headers.get("Range") for e in proxy.requests("^GET")]
    assert ranges[0] is None and all(r is not None and r != "bytes=0-" for r in ranges[1:])
    assert positions == sorted(positions) and positions[-1] == len(CONTENT)
    # Each attempt got further, so none is counted against the next.
    assert waits == [0.5, 0.5]


def test_what_a_run_left_is_of_use_to_the_next(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    stored(registry)
    proxy.faults.append(Fault("^GET", cut_response_at=300_000))
    proxy.faults.append(Fault("^GET", status=503, times=3))
    with client(proxy.host, attempts=3) as used:
        target = repository(used, f"{proxy.host}/app")
        with pytest.raises(Unreachable, match="503"):
            target.download_blob(BLOB, tmp_path / "blob")
        assert not (tmp_path / "blob").exists()
        kept = (tmp_path / "blob.partial").stat().st_size
        assert kept > 0
        proxy.forget()
        proxy.faults.clear()
        target.download_blob(BLOB, tmp_path / "blob")
        assert (tmp_path / "blob").read_bytes() == CONTENT
        (request,) = proxy.requests("^GET")
        assert request.headers["Range"] == f"bytes={kept}-"
        # And now nothing is asked at all.
        proxy.forget()
        target.download_blob(BLOB, tmp_path / "blob")
        assert proxy.exchanges == []


def test_a_damaged_half_is_fetched_anew(registry: DockerRegistry, tmp_path: Path) -> None:
    stored(registry)
    (tmp_path / "blob.partial").write_bytes(b"?" * 1000)
    with client(registry.host) as used:
        repository(used, f"{registry.host}/app").download_blob(BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


def test_damaged_blobs_and_manifests_are_refused(registry: DockerRegistry, tmp_path: Path) -> None:
    stored(registry)
    built = LayoutBuilder(tmp_path / "layout")
    built.image([b"layer"])
    with client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        push_layout(Layout(built.folder), target, ["1"])
        file = registry.blob_file(BLOB.digest)
        file.write_bytes(file.read_bytes()[:-1] + b"?")
        with pytest.raises(DigestMismatch, match="have the digest"):
            target.download_blob(BLOB, tmp_path / "blob")
        assert not (tmp_path / "blob").exists()
        with pytest.raises(DigestMismatch):
            target.read_blob(BLOB)
        with pytest.raises(NotFound, match="404"):
            target.manifest("sha256:" + "0" * 64)


def test_a_manifest_that_is_changed_on_its_way_is_refused(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    built = LayoutBuilder(tmp_path / "layout")
    digest = built.image([b"layer"])["digest"]
    with client(proxy.host) as used:
        target = repository(used, f"{proxy.host}/app")
        push_layout(Layout(built.folder), target, ["1"])
        proxy.faults.append(Fault("^GET", damage=True, times=2))
        for name in (digest, "1"):
            with pytest.raises(DigestMismatch, match="was asked for"):
                target.manifest(name)


def test_a_blob_of_another_size_is_refused(registry: DockerRegistry, tmp_path: Path) -> None:
    stored(registry)
    for wrong in (len(CONTENT) - 1, len(CONTENT) + 1):
        with client(registry.host) as used:
            target = repository(used, f"{registry.host}/app")
            with pytest.raises(DigestMismatch, match=f"{wrong}"):
                blob = Descriptor(BLOB.media_type, BLOB.digest, wrong)
                target.download_blob(blob, tmp_path / "blob")


def test_several_who_want_one_blob_fetch_it_once(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    stored(registry)
    with client(proxy.host) as used:
        target = repository(used, f"{proxy.host}/app")
        threads = [
            threading.Thread(target=target.download_blob, args=(BLOB, tmp_path / "blob"))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert hashlib.sha256((tmp_path / "blob").read_bytes()).hexdigest() == BLOB.digest[7:]
    assert len(proxy.requests("^GET")) == 1


def test_mirrors_are_tried_in_order(
    registry: DockerRegistry, proxy: FaultProxy, tmp_path: Path
) -> None:
    stored(registry)
    built = LayoutBuilder(tmp_path / "layout")
    built.image([b"layer"])
    with DockerRegistry(tmp_path / "second") as mirror, FaultProxy(mirror.host) as before:
        settings = RegistrySettings(
            mirrors=("http://127.0.0.1:9", f"http://{before.host}"), plain_http=True
        )
        with client(registries={proxy.host: settings}) as used:
            target = repository(used, f"{proxy.host}/app")
            # Not at the mirror: the registry itself has it.
            target.download_blob(BLOB, tmp_path / "first")
            assert [e.status for e in before.requests("^GET")] == [404]
            # A push goes to the registry alone.
            push_layout(Layout(built.folder), target, ["1"])
            assert not before.requests("^(POST|PUT|HEAD)")
        with client(mirror.host) as used:
            there = repository(used, f"{mirror.host}/app")
            there.push_blob(BLOB, BytesSource(CONTENT))
            mirrored = push_layout(Layout(built.folder), there, ["1"]).digest
        proxy.forget()
        with client(registries={proxy.host: settings}) as used:
            target = repository(used, f"{proxy.host}/app")
            assert target.manifest("1").digest == mirrored
            # Cut at the mirror, and it goes on at the registry.
            before.faults.append(Fault("^GET", cut_response_at=200_000))
            before.faults.append(Fault("^GET", status=500, times=9))
            target.download_blob(BLOB, tmp_path / "second-blob")
        assert (tmp_path / "second-blob").read_bytes() == CONTENT
        (rest,) = proxy.exchanges
        assert rest.headers["Range"] not in (None, "bytes=0-")


def test_connections_are_used_again(registry: DockerRegistry, proxy: FaultProxy) -> None:
    with client(proxy.host) as used:
        target = repository(used, f"{proxy.host}/app")
        target.push_blob(BLOB, BytesSource(CONTENT))
        for _ in range(5):
            assert target.has_blob(BLOB.digest)
    assert len(proxy.exchanges) == 8 and proxy.connections == 1


def test_a_connection_that_ended_while_idle_costs_no_attempt(
    registry: DockerRegistry, proxy: FaultProxy
) -> None:
    waits: List[float] = []
    with client(proxy.host, waits=waits) as used:
        target = repository(used, f"{proxy.host}/app")
        assert not target.has_blob(BLOB.digest)
        proxy.faults.append(Fault("^HEAD", status=404, headers={"Connection": "close"}))
        assert not target.has_blob(BLOB.digest)
        proxy.faults.append(Fault("^POST", cut_request_at=0))
        outcome, _ = target.push_blob(BLOB, BytesSource(CONTENT))
    assert outcome is BlobOutcome.UPLOADED and waits == []


def test_sources_that_end_too_early_are_named(registry: DockerRegistry) -> None:
    source: BlobSource = BytesSource(CONTENT[:-5])
    with client(registry.host) as used:
        with pytest.raises(RegistryError, match="5 bytes before its size"):
            repository(used, f"{registry.host}/app").push_blob(BLOB, source)
