"""Answers to a registry's ``401``: basic credentials, or tokens of a token service.

Follows RFC 7617, and Docker's "Token Authentication Specification" with its OAuth 2 form for
identity tokens. A token is asked for once for each set of scopes and shared by all threads; it is
renewed before it expires, and when the registry refuses it.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, FrozenSet, List, Optional

from strata.registry.body import BytesBody
from strata.registry.challenge import Challenge, parse_challenges
from strata.registry.credentials import Credential
from strata.registry.errors import AccessDenied, RegistryError
from strata.registry.transport import Response
from strata.registry.url import Url

#: ``repository:NAME:pull,push`` and the like.
Scopes = FrozenSet[str]

#: Sends a request to a token service, with retries: method, URL, headers, body to answer.
SendToService = Callable[[str, Url, Dict[str, str], Optional[BytesBody]], Response]

_CLIENT = "strata"
_DEFAULT_LIFETIME = 60.0
_LONGEST_ANSWER = 1 << 20


@dataclass(frozen=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float

    @property
    def header(self) -> str:
        return f"Bearer {self.value}"


class Authenticator:
    """Credentials of one origin (scheme, host and port), and what it asked for so far.

    ``find_credential`` is asked at the first challenge. ``clock`` is in seconds.
    """

    def __init__(
        self,
        url: Url,
        find_credential: Callable[[], Optional[Credential]],
        send: SendToService,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._find_credential = find_credential
        self._send = send
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Optional[Challenge] = None
        self._credential: Optional[Credential] = None
        self._asked_for_credential = False
        self._tokens: Dict[Scopes, _Token] = {}

    def header(self, scopes: Scopes) -> str:
        """The ``Authorization`` to send for ``scopes``; empty as long as nothing was asked for."""
        with self._lock:
            if self._challenge is None:
                return ""
            if self._challenge.scheme == "basic":
                return self._basic()
            return self._token(scopes, refused="")

    def answer(self, response: Response, scopes: Scopes, refused: str) -> str:
        """The ``Authorization`` that a ``401`` asks for. ``refused`` is the one that was sent.

        Raises AccessDenied if there is none, or none but the refused one.
        """
        challenges = parse_challenges(response.all_headers("WWW-Authenticate"))
        with self._lock:
            self._challenge = self._chosen(challenges)
            if self._challenge.scheme == "basic":
                header = self._basic()
                if not header or header == refused:
                    raise AccessDenied(f"{self._url}: {self.advice()}", 401)
                return header
            asked = self._challenge.parameters.get("scope", "")
            return self._token(scopes | frozenset(asked.split()), refused, also_for=scopes)

    def _chosen(self, challenges: List[Challenge]) -> Challenge:
        by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
        for scheme in ("bearer", "basic"):
            if scheme in by_scheme:
                return by_scheme[scheme]
        offered = ", ".join(sorted(by_scheme)) or "nothing"
        raise AccessDenied(
            f"{self._url}: it wants authentication by {offered}, and only bearer tokens and basic "
            "authentication can be done",
            401,
        )

    def advice(self) -> str:
        """What to do about a refusal."""
        if self._credential is not None:
            return "it refuses the credentials that are stored for it"
        return (
            "it wants credentials, and none were found for it; log in with `docker login` or "
            "`podman login`, or name the file in REGISTRY_AUTH_FILE"
        )

    def _credential_once(self) -> Optional[Credential]:
        if not self._asked_for_credential:
            self._credential = self._find_credential()
            self._asked_for_credential = True
        return self._credential

    def _basic(self) -> str:
        credential = self._credential_once()
        return credential.basic if credential is not None and credential.user else ""

    def _token(self, scopes: Scopes, refused: str, also_for: Scopes = frozenset()) -> str:
        known = self._tokens.get(scopes)
        if known is not None and known.header != refused and self._clock() < known.renew_at:
            return known.header
        credential = self._credential_once()
        if credential is not None and credential.registry_token:
            header = f"Bearer {credential.registry_token}"
            if header == refused:
                raise AccessDenied(f"{self._url}: {self.advice()}", 401)
            return header
        token = self._fetch(scopes, credential)
        self._tokens[scopes] = token
        if also_for:
            self._tokens[also_for] = token
        return token.header

    def _fetch(self, scopes: Scopes, credential: Optional[Credential]) -> _Token:
        assert self._challenge is not None
        realm = self._realm(self._challenge)
        service = self._challenge.parameters.get("service", "")
        fields = [("service", service)] if service else []
        if credential is not None and credential.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                ("client_id", _CLIENT),
                *fields,
                ("scope", " ".join(sorted(scopes))),
                ("refresh_token", credential.identity_token),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = BytesBody(urllib.parse.urlencode(form).encode())
            response = self._send("POST", realm, headers, body)
        else:
            fields += [("scope", scope) for scope in sorted(scopes)]
            headers = {}
            if credential is not None and credential.user:
                fields.append(("account", credential.user))
                headers["Authorization"] = credential.basic
            query = urllib.parse.urlencode(fields)
            joined = "&".join(part for part in (realm.query, query) if part)
            url = Url(realm.scheme, realm.host, realm.port, realm.path, joined)
            response = self._send("GET", url, headers, None)
        with response:
            content = response.read_all(_LONGEST_ANSWER)
            if response.status in (400, 401, 403):
                raise AccessDenied(
                    f"{self._url}: the token service {realm} answers {response.status}: "
                    f"{self.advice()}",
                    response.status,
                )
            if response.status != 200:
                raise RegistryError(
                    f"{self._url}: the token service {realm} answers {response.status}",
                    response.status,
                )
        return self._parsed(content, realm)

    def _parsed(self, content: bytes, realm: Url) -> _Token:
        try:
            data: Any = json.loads(content)
            value = data.get("token") or data.get("access_token")
            lifetime = float(data.get("expires_in") or _DEFAULT_LIFETIME)
            if not isinstance(value, str) or not value:
                raise ValueError
        except (ValueError, TypeError, AttributeError):
            raise RegistryError(
                f"{self._url}: the token service {realm} answers with what is no token"
            ) from None
        # Long uploads check it at their start, so leave some of its time.
        return _Token(value, self._clock() + lifetime * 0.8)

    def _realm(self, challenge: Challenge) -> Url:
        realm = self._url.joined(challenge.parameters.get("realm", ""))
        if realm.scheme == "http" and self._url.scheme == "https":
            raise AccessDenied(
                f"{self._url}: its token service {realm} does not use TLS, and credentials are "
                "not sent there",
                401,
            )
        return realm
