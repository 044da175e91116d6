"""A token service as registries name them in their ``401`` (Docker's "Token Authentication
Specification", with its OAuth 2 form), which signs tokens that a real docker-registry checks."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Dict, List

from registries.certificates import make_authority
from registries.service import Service

_SERVICE = "registry of tests"
_ISSUER = "strata tests"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenService(Service):
    """``users`` maps names to passwords. They may do everything; others may pull what is in
    ``public``. ``lifetime`` is that of tokens, in seconds.

    ``requests`` has what was asked: user, scopes and how. Set ``failures`` to have that many
    requests answered with 503 first.
    """

    def __init__(
        self,
        folder: Path,
        users: Dict[str, str],
        public: "tuple[str, ...]" = (),
        lifetime: int = 300,
    ) -> None:
        self._authority = make_authority(folder)
        self.users = users
        self.public = public
        self.lifetime = lifetime
        self.identity_token = f"identity-{uuid.uuid4()}"
        self.requests: List[Dict[str, Any]] = []
        self.failures = 0
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                service._answer_get(self)

            def do_POST(self) -> None:
                service._answer_post(self)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        super().__init__(Handler)
        self.realm = f"http://{self.host}/token"

    def registry_settings(self) -> Dict[str, str]:
        return {
            "realm": self.realm,
            "service": _SERVICE,
            "issuer": _ISSUER,
            "rootcertbundle": str(self._authority.certificate),
        }

    def _answer_get(self, handler: BaseHTTPRequestHandler) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        user = ""
        scheme, _, encoded = handler.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            user, _, password = base64.b64decode(encoded).decode().partition(":")
            if self.users.get(user) != password:
                self._send(handler, 401, {"errors": [{"code": "UNAUTHORIZED"}]})
                return
        self._issue(handler, user, query.get("scope", []), "GET")

    def _answer_post(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", 0))
        form = urllib.parse.parse_qs(handler.rfile.read(length).decode())
        if form.get("refresh_token") != [self.identity_token]:
            self._send(handler, 401, {"error": "invalid_grant"})
            return
        self._issue(handler, "of the identity token", form["scope"][0].split(), "POST")

    def _issue(
        self, handler: BaseHTTPRequestHandler, user: str, scopes: List[str], method: str
    ) -> None:
        with self._lock:
            self.requests.append({"user": user, "scopes": sorted(scopes), "method": method})
            if self.failures:
                self.failures -= 1
                self._send(handler, 503, {})
                return
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            granted = actions.split(",") if user else []
            if not user and name in self.public:
                granted = ["pull"]
            if granted:
                access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "sub": user,
            "aud": _SERVICE,
            "exp": now + self.lifetime,
            "nbf": now - 10,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "access": access,
        }
        answer = {"token": self._signed(claims), "expires_in": self.lifetime}
        self._send(handler, 200, answer)

    def _signed(self, claims: Dict[str, Any]) -> str:
        text = self._authority.certificate.read_text()
        body = "".join(text.partition("-----END")[0].splitlines()[1:])
        header = {"typ": "JWT", "alg": "RS256", "x5c": [body]}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self._authority.key)],
            input=signed.encode(),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        return f"{signed}.{_encoded(signature)}"

    def _send(self, handler: BaseHTTPRequestHandler, status: int, answer: Any) -> None:
        content = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
