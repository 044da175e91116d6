"""A proxy between a client and a registry that counts bytes and misbehaves where it is told to."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Dict, Iterator, List, Optional

from registries.service import Service

_PIECE = 16 << 10


@dataclass
class Fault:
    """What happens to the next ``times`` requests whose method, path and query match
    ``pattern`` (``PATCH /v2/...``, a regular expression), after ``after`` of them went well.

    - ``status`` is answered instead of the registry, with ``headers``;
    - ``cut_request_at`` and ``cut_response_at`` end the connection after so many bytes of a body;
      with ``forward`` the registry gets what came until then, otherwise nothing of the request;
    - ``damage`` changes the first byte of an answer's body;
    - ``stall`` is silence, in seconds, before anything is done; ``pause`` is one after each 16 KiB
      of a body.
    """

    pattern: str
    times: int = 1
    after: int = 0
    status: int = 0
    headers: Dict[str, str] = field(default_factory=dict)
    cut_request_at: Optional[int] = None
    cut_response_at: Optional[int] = None
    forward: bool = True
    damage: bool = False
    stall: float = 0
    pause: float = 0


@dataclass(frozen=True)
class Exchange:
    """One request as it came: sizes are those of bodies, in bytes."""

    method: str
    path: str
    query: str
    headers: Dict[str, str]
    sent: int
    status: int


class _Cut(Exception):
    pass


class FaultProxy(Service):
    """Stands in front of ``upstream`` (``127.0.0.1:PORT``) at ``host`` while the block runs.

    ``bytes_from_client`` counts whole requests, with their heads.
    """

    def __init__(self, upstream: str) -> None:
        self.faults: List[Fault] = []
        self.exchanges: List[Exchange] = []
        self.bytes_from_client = 0
        self.connections = 0
        self._upstream = upstream
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with proxy._lock:
                    proxy.connections += 1

            def handle_one_request(self) -> None:
                # As the base class does it, for every method alike.
                try:
                    self.raw_requestline = self.rfile.readline(65537)
                    if not self.raw_requestline or not self.parse_request():
                        self.close_connection = True
                        return
                    proxy._handle(self)
                    self.wfile.flush()
                except (OSError, _Cut, http.client.HTTPException):
                    self.close_connection = True
                    # A reset, not an orderly end.
                    with contextlib.suppress(OSError):
                        option = struct.pack("ii", 1, 0)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
                        self.connection.close()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        super().__init__(Handler)

    def requests(self, pattern: str) -> List[Exchange]:
        return [e for e in self.exchanges if re.search(pattern, f"{e.method} {e.path}")]

    def forget(self) -> None:
        """Starts counting anew."""
        with self._lock:
            self.exchanges = []
            self.bytes_from_client = 0

    def _fault(self, method: str, path: str) -> Optional[Fault]:
        with self._lock:
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, f"{method} {path}"):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        fault = self._fault(handler.command, handler.path) or Fault("")
        head = len(handler.raw_requestline) + len(str(handler.headers))
        exchange = {"sent": 0, "status": 0}
        with self._lock:
            self.bytes_from_client += head
        try:
            self._exchange(handler, fault, exchange)
        finally:
            self._record(handler, exchange)

    def _record(self, handler: BaseHTTPRequestHandler, exchange: Dict[str, int]) -> None:
        """Before the client has its answer, so that it sees its own requests counted; once."""
        if "recorded" in exchange:
            return
        exchange["recorded"] = 1
        path, _, query = handler.path.partition("?")
        done = Exchange(
            handler.command,
            path,
            query,
            dict(handler.headers.items()),
            exchange["sent"],
            exchange["status"],
        )
        with self._lock:
            self.bytes_from_client += exchange["sent"]
            self.exchanges.append(done)

    def _exchange(
        self, handler: BaseHTTPRequestHandler, fault: Fault, exchange: Dict[str, int]
    ) -> None:
        time.sleep(fault.stall)
        length = int(handler.headers.get("Content-Length") or 0)
        body = self._body(handler, length, fault, exchange)
        if fault.status:
            for _ in body:
                pass
            exchange["status"] = fault.status
            self._record(handler, exchange)
            handler.send_response(fault.status)
            for name, value in {"Content-Length": "0", **fault.headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            return
        if not fault.forward:
            body = iter(list(body))
        upstream = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            upstream.putrequest(
                handler.command, handler.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in handler.headers.items():
                # The registry makes its URLs from it, which then lead here.
                upstream.putheader(name, value)
            upstream.endheaders()
            for piece in body:
                upstream.send(piece)
            response = upstream.getresponse()
            exchange["status"] = response.status
            self._record(handler, exchange)
            handler.send_response_only(response.status, response.reason)
            for name, value in response.getheaders():
                handler.send_header(name, value)
            handler.end_headers()
            self._answer(handler, response, fault)
        finally:
            upstream.close()

    def _body(
        self,
        handler: BaseHTTPRequestHandler,
        length: int,
        fault: Fault,
        exchange: Dict[str, int],
    ) -> Iterator[bytes]:
        cut = fault.cut_request_at
        while exchange["sent"] < length:
            if cut is not None and exchange["sent"] >= cut:
                raise _Cut
            wanted = min(_PIECE, length - exchange["sent"])
            if cut is not None:
                wanted = min(wanted, cut - exchange["sent"])
            piece = handler.rfile.read(wanted)
            if not piece:
                raise _Cut
            exchange["sent"] += len(piece)
            time.sleep(fault.pause)
            yield piece
        if cut is not None:
            raise _Cut

    def _answer(
        self,
        handler: BaseHTTPRequestHandler,
        response: http.client.HTTPResponse,
        fault: Fault,
    ) -> None:
        given = 0
        chunked = (
            response.headers.get("Transfer-Encoding") == "chunked" and handler.command != "HEAD"
        )
        while piece := response.read(_PIECE):
            if fault.damage and not given:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            if fault.cut_response_at is not None:
                piece = piece[: fault.cut_response_at - given]
            if chunked:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            else:
                handler.wfile.write(piece)
            given += len(piece)
            if fault.cut_response_at is not None and given >= fault.cut_response_at:
                handler.wfile.flush()
                # What was written has to arrive before the reset.
                time.sleep(0.05)
                raise _Cut
            time.sleep(fault.pause)
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")
