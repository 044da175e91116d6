"""The way into registries: ``RegistryClient(settings).repository(reference)``.

For example, the manifest of a base image::

    client = RegistryClient(ClientSettings())
    with client:
        manifest = client.repository(parse_reference("debian")).manifest("bookworm")
"""

from __future__ import annotations

import threading
from dataclasses import replace
from types import TracebackType
from typing import Callable, Optional, Type

from strata.registry.body import Cancelled
from strata.registry.credentials import Credential, Credentials
from strata.registry.endpoint import Endpoint
from strata.registry.reference import Reference
from strata.registry.repository import Repository
from strata.registry.retry import RetryPolicy
from strata.registry.settings import ClientSettings
from strata.registry.transport import Transport, Trust

#: Whoever can go on to the next mirror need not be patient with one.
_ATTEMPTS_AT_MIRRORS = 2


class RegistryClient:
    """Connections and credentials for any number of registries. Threads may share it.

    ``credentials`` are those of this user's auth files unless others are given; ``warn`` gets what
    is wrong with them, and ``policy`` replaces how patient the settings are.
    """

    def __init__(
        self,
        settings: Optional[ClientSettings] = None,
        credentials: Optional[Credentials] = None,
        warn: Callable[[str], None] = lambda line: None,
        policy: Optional[RetryPolicy] = None,
    ) -> None:
        self.settings = settings or ClientSettings()
        self._credentials = credentials or Credentials(
            helper_timeout=self.settings.helper_timeout, warn=warn
        )
        #: Set it to end what is under way soon, waits among attempts included, with Cancelled.
        self.cancelled = threading.Event()
        self._policy = policy or RetryPolicy.of(self.settings, self._pause)
        self._transport = Transport(self.settings.connect_timeout, self.settings.read_timeout)

    def repository(self, name: Reference) -> Repository:
        """``name``'s tag and digest do not matter. Nothing is sent yet.

        Raises StrataError for settings that make no sense.
        """
        settings = self.settings.registry(name.registry)
        trust = Trust(settings.ca_file, settings.ca_data)
        patience = min(_ATTEMPTS_AT_MIRRORS, self._policy.attempts)
        at_mirrors = replace(self._policy, attempts=patience)
        endpoints = [
            Endpoint(url, self._transport, at_mirrors, self._finder(url.authority, name), trust)
            for url in self.settings.mirrors(name.registry)
        ]
        origin = self.settings.endpoint(name.registry)
        find = self._finder(name.registry, name)
        endpoints.append(Endpoint(origin, self._transport, self._policy, find, trust))
        return Repository(name, endpoints, self.settings.chunk_size, self.cancelled)

    def close(self) -> None:
        """Ends idle connections."""
        self._transport.close()

    def __enter__(self) -> "RegistryClient":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _pause(self, seconds: float) -> None:
        if self.cancelled.wait(seconds):
            raise Cancelled

    def _finder(self, registry: str, name: Reference) -> Callable[[], Optional[Credential]]:
        return lambda: self._credentials.find(registry, name.repository)
