"""Clients that lose no time: waits are recorded, and cut short."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from strata.registry.client import RegistryClient
from strata.registry.credentials import Credentials
from strata.registry.reference import parse_reference
from strata.registry.repository import Repository
from strata.registry.retry import RetryPolicy
from strata.registry.settings import ClientSettings, RegistrySettings


def client(
    *plain: str,
    environment: Optional[Dict[str, str]] = None,
    waits: Optional[List[float]] = None,
    warnings: Optional[List[str]] = None,
    registries: Optional[Dict[str, RegistrySettings]] = None,
    **settings: Any,
) -> RegistryClient:
    """``plain`` are hosts to reach over plain HTTP. Without ``environment`` there are no
    credentials."""
    chosen = ClientSettings(
        registries=registries or {host: RegistrySettings(plain_http=True) for host in plain},
        **settings,
    )
    noted: List[float] = [] if waits is None else waits
    said: List[str] = [] if warnings is None else warnings
    nothing = {"REGISTRY_AUTH_FILE": "/nonexistent"}
    credentials = Credentials(
        nothing if environment is None else environment, chosen.helper_timeout, said.append
    )

    def sleep(seconds: float) -> None:
        noted.append(seconds)
        # A registry needs a moment to notice that somebody hung up.
        time.sleep(min(seconds, 0.1))

    policy = RetryPolicy(attempts=chosen.attempts, sleep=sleep, jitter=lambda: 1.0, first_delay=0.5)
    return RegistryClient(chosen, credentials, policy=policy)


def repository(used: RegistryClient, name: str) -> Repository:
    return used.repository(parse_reference(name))


def auth_file(folder: Path, content: str) -> Dict[str, str]:
    """An environment whose credentials are ``content``."""
    path = folder / "auth.json"
    path.write_text(content)
    return {"REGISTRY_AUTH_FILE": str(path)}
