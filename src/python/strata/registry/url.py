"""URLs of registries: taken apart once, and never shown with what may be secret in them."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Mapping, Tuple

from strata.errors import StrataError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Url:
    """``query`` is without its question mark. Printing leaves it out: registries sign uploads and
    redirects there."""

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""

    @classmethod
    def parse(cls, text: str) -> "Url":
        """Raises StrataError for anything but an absolute HTTP URL without a user in it."""
        try:
            parts = urllib.parse.urlsplit(text)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            parts, port = urllib.parse.urlsplit(""), 0
        if parts.scheme not in _PORTS or not parts.hostname:
            shown = text.partition("?")[0].rpartition("@")[2]
            raise StrataError(f"{shown!r} is no URL such as 'https://registry.example:5000'")
        if parts.username is not None:
            raise StrataError(
                f"the URL of {parts.hostname} has a user in it; credentials are taken from the "
                "auth files of docker and podman (docker login, podman login)"
            )
        return cls(parts.scheme, parts.hostname, port, parts.path, parts.query)

    @property
    def origin(self) -> Tuple[str, str, int]:
        """What must be equal for credentials to be sent along."""
        return (self.scheme, self.host, self.port)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """The request target (RFC 9112, section 3.2.1)."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")

    @property
    def secret_text(self) -> str:
        """The whole URL, with its query: not for messages."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def below(self, path: str, query: Mapping[str, str] = {}) -> "Url":
        """``path`` is absolute and quoted already."""
        text = urllib.parse.urlencode(query, safe=":/")
        return Url(self.scheme, self.host, self.port, self.path.rstrip("/") + path, text)

    def joined(self, location: str) -> "Url":
        """What a ``Location`` header means. Raises StrataError if it is no HTTP URL."""
        return Url.parse(urllib.parse.urljoin(self.secret_text, location))

    def with_query(self, **extra: str) -> "Url":
        """With more in the query; what is there stays as the server wrote it."""
        text = urllib.parse.urlencode(extra)
        query = f"{self.query}&{text}" if self.query else text
        return Url(self.scheme, self.host, self.port, self.path, query)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"
