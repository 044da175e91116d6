"""Credentials as docker and podman keep them (``containers-auth.json(5)``; Docker's
``config.json``): in auth files, and in helpers that those name.

They live in this process' memory only. Nothing here prints them, and their ``repr`` is empty.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from strata.registry.errors import RegistryError
from strata.registry.helper import HelperNotFound, ask_helper
from strata.registry.reference import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"


@dataclass(frozen=True)
class Credential:
    """``identity_token`` is a refresh token of a token service, ``registry_token`` a bearer token
    that is used as it is; with neither it is a user and a password."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header."""
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return f"Basic {token}"


class Credentials:
    """Looks credentials up when a registry asks for them, and not before.

    ``warn`` gets a line, without secrets, for each file or helper that is of no use. None of them
    is an error: what is public can be read without.
    """

    def __init__(
        self,
        environment: Optional[Mapping[str, str]] = None,
        helper_timeout: float = 20.0,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._helper_timeout = helper_timeout
        self._warn = warn
        self._lock = threading.Lock()
        self._files: Optional[List[Tuple[Path, Mapping[str, Any]]]] = None
        self._answers: Dict[Tuple[str, str], Optional[Credential]] = {}

    def find(self, registry: str, repository: str) -> Optional[Credential]:
        """The credential for ``repository`` at ``registry``, a host as it stands in names; the
        first file that has one decides. None if there is none."""
        with self._lock:
            if self._files is None:
                self._files = [*self._read_files()]
            for file, content in self._files:
                found = self._in_file(file, content, registry, repository)
                if found is not None:
                    return found
        return None

    def _read_files(self) -> List[Tuple[Path, Mapping[str, Any]]]:
        found: List[Tuple[Path, Mapping[str, Any]]] = []
        for path in auth_files(self._environment):
            try:
                content = json.loads(path.read_text())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                # A JSON error says where, not what.
                reason = getattr(error, "strerror", None) or "it is no JSON"
                self._warn(f"{path}: no credentials can be read from it: {reason}")
                continue
            if isinstance(content, dict):
                found.append((path, content))
        return found

    def _in_file(
        self, file: Path, content: Mapping[str, Any], registry: str, repository: str
    ) -> Optional[Credential]:
        helpers = _table(content, "credHelpers")
        default = content.get("credsStore")
        for key in _keys(registry, repository):
            name = helpers.get(key)
            if isinstance(name, str) and name:
                return self._from_helper(name, _HUB_KEY if registry == DOCKER_HUB else key)
        if isinstance(default, str) and default:
            server = _HUB_KEY if registry == DOCKER_HUB else registry
            found = self._from_helper(default, server)
            if found is not None:
                return found
        entries = {_plain_key(key): value for key, value in _table(content, "auths").items()}
        for key in _keys(registry, repository):
            if key in entries:
                found = _from_entry(entries[key])
                if found is not None:
                    return found
                if entries[key]:
                    self._warn(f"{file}: its entry for {key} is no credential")
        return None

    def _from_helper(self, name: str, server: str) -> Optional[Credential]:
        if (name, server) not in self._answers:
            self._answers[(name, server)] = self._ask(name, server)
        return self._answers[(name, server)]

    def _ask(self, name: str, server: str) -> Optional[Credential]:
        try:
            user, secret = ask_helper(name, server, self._helper_timeout)
        except HelperNotFound:
            return None
        except RegistryError as error:
            self._warn(f"credential helper: {error}; going on without credentials for {server}")
            return None
        if user == _TOKEN_USER:
            return Credential(identity_token=secret)
        return Credential(user, secret)


def auth_files(environment: Mapping[str, str]) -> List[Path]:
    """Where credentials may be, the first one to look at first.

    ``REGISTRY_AUTH_FILE`` alone if it is set; otherwise ``DOCKER_CONFIG`` if set, podman's files,
    and docker's default.
    """
    only = environment.get("REGISTRY_AUTH_FILE")
    if only:
        return [Path(only)]
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    docker = environment.get("DOCKER_CONFIG")
    return [
        *([Path(docker) / "config.json"] if docker else []),
        Path(runtime) / "containers" / "auth.json",
        Path(f"/run/containers/{os.getuid()}/auth.json"),
        config / "containers" / "auth.json",
        home / ".docker" / "config.json",
    ]


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _keys(registry: str, repository: str) -> List[str]:
    """What an entry may be named, the most specific one first: podman allows namespaces."""
    parts = [part for part in repository.split("/") if part]
    names = ["/".join([registry, *parts[:count]]) for count in range(len(parts), 0, -1)]
    hub = ["index.docker.io", "registry-1.docker.io"] if registry == DOCKER_HUB else []
    return [*names, registry, *hub]


def _plain_key(key: str) -> str:
    """Docker writes URLs for some registries: ``https://index.docker.io/v1/``."""
    if "://" not in key:
        return key.rstrip("/")
    return key.partition("://")[2].partition("/")[0]


def _from_entry(entry: Any) -> Optional[Credential]:
    if not isinstance(entry, dict):
        return None
    user, password = entry.get("username") or "", entry.get("password") or ""
    encoded = entry.get("auth")
    if isinstance(encoded, str) and encoded:
        try:
            user, colon, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        # Docker pads passwords with zero bytes.
        password = password.rstrip("\0")
    identity = entry.get("identitytoken") or ""
    registry = entry.get("registrytoken") or ""
    if not (identity or registry or (user and password)):
        return None
    return Credential(user, password, identity, registry)
