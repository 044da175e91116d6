"""How registries are reached. Nothing here is secret: credentials are in ``credentials.py``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Mapping, Tuple

from strata.errors import StrataError
from strata.registry.reference import DOCKER_HUB
from strata.registry.url import Url

_HUB_HOST = "registry-1.docker.io"


@dataclass(frozen=True)
class RegistrySettings:
    """One registry's settings.

    ``mirrors`` are tried in order before the registry itself when something is read: each is a
    host, or a URL with an optional path (``https://cache.example/hub``); ``http://`` in front is
    the explicit wish for plain HTTP there. ``plain_http`` is that wish for the registry itself.
    ``ca_file`` is a file of certificates in PEM form to trust besides the machine's, and
    ``ca_data`` the text of such a file.
    """

    mirrors: Tuple[str, ...] = ()
    plain_http: bool = False
    ca_file: str = ""
    ca_data: str = ""


@dataclass(frozen=True)
class ClientSettings:
    """``registries`` maps hosts, as they stand in image names, to settings.

    Times are in seconds: ``connect_timeout`` is for one connection, ``read_timeout`` for silence
    on it, ``helper_timeout`` for a credential helper. A request is made up to ``attempts`` times;
    waits between them double from ``first_delay`` to ``longest_delay``, and a server's
    ``Retry-After`` is kept up to ``longest_retry_after``.

    ``chunk_size`` is how many bytes of a blob one upload request has at most, and so what a cut
    connection can cost; 0 sends each blob in one request. ``concurrency`` is the cap of blobs
    under way at the same time.
    """

    registries: Mapping[str, RegistrySettings] = field(default_factory=dict)
    connect_timeout: float = 20.0
    read_timeout: float = 60.0
    helper_timeout: float = 20.0
    attempts: int = 6
    first_delay: float = 0.5
    longest_delay: float = 20.0
    longest_retry_after: float = 300.0
    chunk_size: int = 16 << 20
    concurrency: int = 4

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ClientSettings":
        """The inverse of ``to_json``; keys that are left out have their defaults.

        Raises StrataError for unknown keys.
        """
        try:
            registries = {
                host: RegistrySettings(**{**item, "mirrors": tuple(item.get("mirrors", ()))})
                for host, item in data.get("registries", {}).items()
            }
            return cls(**{**data, "registries": registries})
        except TypeError as error:
            raise StrataError(f"settings of registries: {error}") from error

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)

    def registry(self, host: str) -> RegistrySettings:
        return self.registries.get(host, RegistrySettings())

    def endpoint(self, host: str) -> Url:
        """The address of the registry itself."""
        scheme = "http" if self.registry(host).plain_http else "https"
        return Url.parse(f"{scheme}://{_HUB_HOST if host == DOCKER_HUB else host}")

    def mirrors(self, host: str) -> Tuple[Url, ...]:
        """Raises StrataError for what is no address."""
        return tuple(
            Url.parse(text if "://" in text else f"https://{text}")
            for text in self.registry(host).mirrors
        )
