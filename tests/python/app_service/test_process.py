"""The demo service as a process: it listens, logs, and stops when it is told to."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterator, List

import numpy as np
import pytest
from PIL import Image

import web.main


class Service:
    """The service on a free port, with its log read as it is written."""

    def __init__(self, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = start({"HOST": "127.0.0.1", "PORT": str(self.port), **settings})
        self.log: List[Dict[str, object]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._await_answer()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.log.append(json.loads(line))

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.request("/healthz")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise
                time.sleep(0.02)

    def request(self, path: str, data: "bytes | None" = None) -> bytes:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}{path}", data, timeout=30
        ) as answer:
            return answer.read()

    def queued(self) -> bool:
        return any(entry["logger"] == "waitress.queue" for entry in list(self.log))

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=10)
        self._reader.join(timeout=10)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=10)


def start(settings: Dict[str, str]) -> "subprocess.Popen[str]":
    # Only what Python needs to find its modules: the service must not need a HOME or a PATH.
    return subprocess.Popen(
        [sys.executable, "-m", web.main.__name__],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **settings},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def service() -> Iterator[Service]:
    with contextlib.closing(Service()) as running:
        yield running


@pytest.fixture
def one_thread() -> Iterator[Service]:
    with contextlib.closing(Service(THREADS="1")) as running:
        yield running


def noise(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", compress_level=0)
    return out.getvalue()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_within_a_second(service: Service, number: int) -> None:
    started = time.monotonic()
    assert service.stop(number) == 0
    assert time.monotonic() - started < 1
    assert [entry["signal"] for entry in service.log if "signal" in entry] == [number]


def test_a_request_being_served_is_finished_before_it_stops(one_thread: Service) -> None:
    image = noise(2500, 3500)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(one_thread.request, "/v1/statistics", image)
        # A second request has to queue only while the first one holds the thread, so from the
        # log's word about the queue the first is known to be served.
        probe = pool.submit(one_thread.request, "/healthz")
        while not (one_thread.queued() or answer.done()):
            if probe.done():
                probe = pool.submit(one_thread.request, "/healthz")
            time.sleep(0.01)
        assert one_thread.queued()
        assert not answer.done()
        assert one_thread.stop(signal.SIGTERM) == 0
        assert json.loads(answer.result())["width"] == 3500
    messages = [entry["message"] for entry in one_thread.log]
    finished = next(i for i, e in enumerate(one_thread.log) if e.get("path") == "/v1/statistics")
    assert messages.index("stopping") < finished


def test_requests_at_the_same_time_get_their_own_answers(service: Service) -> None:
    sizes = list(range(8, 24))
    images = [noise(size, 2 * size) for size in sizes]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda image: service.request("/v1/statistics", image), images))
    assert [json.loads(answer)["height"] for answer in answers] == sizes
    expected = f'{{endpoint="image_statistics",status="200"}} {len(sizes)}'
    assert expected in service.request("/metrics").decode()


def test_every_line_of_the_log_is_a_json_object(service: Service) -> None:
    service.request("/")
    service.stop(signal.SIGTERM)
    assert service.log[0]["message"] == "listening"
    assert service.log[0]["port"] == service.port
    requests = [entry for entry in service.log if entry["message"] == "request"]
    assert [entry["path"] for entry in requests] == ["/healthz", "/"]
    assert {entry["status"] for entry in requests} == {200}


def test_a_bad_setting_is_refused_before_it_listens() -> None:
    process = start({"PORT": "http"})
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    entry = json.loads(output)
    assert entry["level"] == "error"
    assert "PORT" in entry["message"]
