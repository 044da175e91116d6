"""Debian's docker-registry on loopback, with the kind of access control that a test wants."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Optional, Set, Type

from end_to_end.tools import require
from registries.certificates import Certificate
from registries.token_service import TokenService

USER = "tester"
PASSWORD = "open sesame"
#: bcrypt of PASSWORD, as htpasswd writes it.
_HASH = "$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW"


class DockerRegistry:
    """Runs while the ``with`` block does. ``folder`` has its data, which outlives it.

    A test that makes one is skipped where the program is missing.
    """

    def __init__(
        self,
        folder: Path,
        basic: bool = False,
        tokens: Optional[TokenService] = None,
        read_only: bool = False,
        tls: Optional[Certificate] = None,
    ) -> None:
        require("docker-registry")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self._config = self._configuration(basic, tokens, read_only, tls)
        self._process: "Optional[subprocess.Popen[bytes]]" = None

    def _configuration(
        self,
        basic: bool,
        tokens: Optional[TokenService],
        read_only: bool,
        tls: Optional[Certificate],
    ) -> Path:
        storage: Dict[str, Any] = {
            "filesystem": {"rootdirectory": str(self._folder / "data")},
            "delete": {"enabled": True},
        }
        if read_only:
            storage["maintenance"] = {"readonly": {"enabled": True}}
        http: Dict[str, Any] = {"addr": self.host, "secret": "of these tests"}
        if tls is not None:
            http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
        config: Dict[str, Any] = {"version": "0.1", "storage": storage, "http": http}
        if basic:
            users = self._folder / "htpasswd"
            users.write_text(f"{USER}:{_HASH}\n")
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(users)}}
        if tokens is not None:
            config["auth"] = {"token": tokens.registry_settings()}
        # YAML has all of JSON.
        path = self._folder / "config.yml"
        path.write_text(json.dumps(config))
        return path

    def __enter__(self) -> "DockerRegistry":
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError(self.log())
                time.sleep(0.05)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def has_blob(self, repository: str, digest: str) -> bool:
        """Asks a registry without access control."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("HEAD", f"/v2/{repository}/blobs/{digest}")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def blobs(self) -> Set[str]:
        """The digests of all that it stores."""
        folder = self._folder / "data/docker/registry/v2/blobs/sha256"
        return {f"sha256:{path.parent.name}" for path in folder.glob("*/*/data")}

    def blob_file(self, digest: str) -> Path:
        """Where the registry keeps a blob, for tests that damage it."""
        encoded = digest.partition(":")[2]
        folder = self._folder / "data/docker/registry/v2/blobs/sha256"
        return folder / encoded[:2] / encoded / "data"
