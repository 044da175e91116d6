"""HTTP/1.1 over the standard library, with connections that are used again.

One request, one answer: no retries, no redirects, no credentials. Those are ``endpoint.py``'s.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import ssl
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Dict, List, Mapping, Optional, Tuple, Type

from strata.registry.body import Body, BytesBody
from strata.registry.errors import RegistryError
from strata.registry.proxy import proxy_for
from strata.registry.url import Url

#: What a broken connection raises, certificates that do not fit among them.
CONNECTION_ERRORS = (OSError, http.client.HTTPException)

_USER_AGENT = "strata"
_SMALL_REST = 64 << 10


@dataclass(frozen=True)
class Trust:
    """Certificates in PEM form to trust besides the machine's: a file, or the text of one."""

    ca_file: str = ""
    ca_data: str = ""


#: The machine's own certificates.
NO_MORE_TRUST = Trust()
_Key = Tuple[str, str, int, Trust]


class Response:
    """An answer whose body is read on demand.

    Close it, or use it in a ``with`` statement: read to its end, the connection serves others.
    """

    def __init__(
        self, pool: "Transport", key: _Key, connection: http.client.HTTPConnection
    ) -> None:
        self._pool = pool
        self._key = key
        self._connection: Optional[http.client.HTTPConnection] = connection
        self._answer = connection.getresponse()
        self.status = self._answer.status
        self.reason = self._answer.reason
        length = self.header("Content-Length")
        self.length: Optional[int] = int(length) if length.isdigit() else None
        # What is left to read; None if the server does not say beforehand.
        self._left: Optional[int] = self._answer.length

    def header(self, name: str) -> str:
        """Case does not matter; empty if there is none."""
        return self._answer.headers.get(name) or ""

    def all_headers(self, name: str) -> List[str]:
        return self._answer.headers.get_all(name) or []

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty at the end.

        Raises one of CONNECTION_ERRORS if the body is cut short.
        """
        # What has arrived, and not more: the rest may never come.
        piece = b"" if self._answer.isclosed() else self._answer.read1(size)
        if self._left is not None:
            self._left -= len(piece)
            if not piece and self._left:
                raise http.client.IncompleteRead(b"", self._left)
        return piece

    def read_all(self, limit: int) -> bytes:
        """The whole body. Raises RegistryError if it is longer than ``limit`` bytes."""
        pieces = []
        total = 0
        while piece := self.read(min(64 << 10, limit + 1 - total)):
            pieces.append(piece)
            total += len(piece)
            if total > limit:
                raise RegistryError(f"an answer is longer than {limit} bytes")
        return b"".join(pieces)

    def close(self) -> None:
        """Gives the connection back, or ends it if too much of the body is left."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not self._answer.isclosed() and self._left is not None and self._left <= _SMALL_REST:
            with contextlib.suppress(*CONNECTION_ERRORS):
                self._answer.read()
        if self._answer.isclosed() and not self._answer.will_close:
            self._pool.give_back(self._key, connection)
        else:
            connection.close()

    def abandon(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> "Response":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


class Transport:
    """A pool of connections. Threads may share it; each request has a connection of its own.

    Times are in seconds: to connect, and how long a connection may be silent.
    """

    def __init__(self, connect_timeout: float = 20.0, read_timeout: float = 60.0) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._lock = threading.Lock()
        self._idle: Dict[_Key, List[http.client.HTTPConnection]] = {}
        self._contexts: Dict[Trust, ssl.SSLContext] = {}

    def send(
        self,
        method: str,
        url: Url,
        headers: Optional[Mapping[str, str]] = None,
        body: Optional[Body] = None,
        trust: Trust = NO_MORE_TRUST,
    ) -> Response:
        """Raises one of CONNECTION_ERRORS, and RegistryError for certificates that are none."""
        key = (url.scheme, url.host, url.port, trust)
        if body is None and method in ("POST", "PUT", "PATCH"):
            body = BytesBody(b"")
        while True:
            connection, used_before = self._connection(key, url, trust)
            try:
                return self._exchange(key, connection, method, url, headers or {}, body)
            except CONNECTION_ERRORS as error:
                connection.close()
                # The server may give an idle connection up while we send on it.
                if not used_before or isinstance(error, TimeoutError) or (body and body.size):
                    raise
            except BaseException:
                connection.close()
                raise

    def give_back(self, key: _Key, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.setdefault(key, []).append(connection)

    def close(self) -> None:
        """Ends idle connections."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _exchange(
        self,
        key: _Key,
        connection: http.client.HTTPConnection,
        method: str,
        url: Url,
        headers: Mapping[str, str],
        body: Optional[Body],
    ) -> Response:
        target = url.target
        proxy = proxy_for(url) if url.scheme == "http" else None
        if proxy is not None:
            target = url.secret_text
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        everything = {"Host": url.authority, "User-Agent": _USER_AGENT, **headers}
        if proxy is not None:
            everything.update(proxy.headers)
        if body is not None:
            everything["Content-Length"] = str(body.size)
        for name, value in everything.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body is not None:
            try:
                for piece in body.pieces():
                    connection.send(piece)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
                # Whoever refuses a body early may have said why before hanging up.
                try:
                    response = Response(self, key, connection)
                except CONNECTION_ERRORS:
                    raise error from None
                response._answer.will_close = True
                return response
        return Response(self, key, connection)

    def _connection(
        self, key: _Key, url: Url, trust: Trust
    ) -> Tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            idle = self._idle.get(key, [])
            while idle:
                connection = idle.pop()
                if not _has_ended(connection):
                    return connection, True
                connection.close()
        proxy = proxy_for(url)
        host, port = (proxy.host, proxy.port) if proxy else (url.host, url.port)
        if url.scheme == "https":
            context = self._context(trust)
            connection = http.client.HTTPSConnection(
                host, port, timeout=self._connect_timeout, context=context
            )
            if proxy:
                connection.set_tunnel(url.host, url.port, headers=proxy.headers)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._connect_timeout)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(self._read_timeout)
        return connection, False

    def _context(self, trust: Trust) -> ssl.SSLContext:
        with self._lock:
            context = self._contexts.get(trust)
            if context is None:
                context = ssl.create_default_context()
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                try:
                    if trust.ca_file or trust.ca_data:
                        context.load_verify_locations(
                            cafile=trust.ca_file or None, cadata=trust.ca_data or None
                        )
                except (OSError, ssl.SSLError, ValueError) as error:
                    what = trust.ca_file or "what `ca_file` names"
                    raise RegistryError(
                        f"{what}: no certificates can be read from it: {error}"
                    ) from error
                self._contexts[trust] = context
            return context


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle connection has something to read, which can only be its end."""
    try:
        return bool(select.select([connection.sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True
