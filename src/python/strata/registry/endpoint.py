"""Requests to one address of a registry: attempts, credentials and redirects.

Credentials go to the registry's own origin and to the token service it names, never to where it
redirects.
"""

from __future__ import annotations

import json
import ssl
from typing import Callable, Dict, Mapping, Optional, Tuple

from strata.errors import StrataError
from strata.registry.authentication import Authenticator, Scopes
from strata.registry.body import Body
from strata.registry.credentials import Credential
from strata.registry.errors import AccessDenied, NotFound, RegistryError, Unreachable
from strata.registry.retry import PASSING, RetryPolicy, will_stay
from strata.registry.transport import (
    CONNECTION_ERRORS,
    NO_MORE_TRUST,
    Response,
    Transport,
    Trust,
)
from strata.registry.url import Url

_REDIRECTS = (301, 302, 303, 307, 308)
#: Redirects that keep method and body (RFC 9110, sections 15.4.8 and 15.4.9).
_KEEPING = (307, 308)
_MOST_REDIRECTS = 8
_MOST_ANSWERS = 2
_LONGEST_ERROR = 64 << 10


class Interrupted(Unreachable):
    """One attempt failed, and another may not. ``retry_after`` is the server's header, if any."""

    def __init__(self, message: str, status: Optional[int] = None, retry_after: str = "") -> None:
        super().__init__(message, status)
        self.retry_after = retry_after


class Endpoint:
    """The registry API at ``url``, which is the registry itself or a mirror.

    ``find_credential`` is called when credentials are asked for, and not before.
    """

    def __init__(
        self,
        url: Url,
        transport: Transport,
        policy: RetryPolicy,
        find_credential: Callable[[], Optional[Credential]],
        trust: Trust = NO_MORE_TRUST,
    ) -> None:
        self.url = url
        self.policy = policy
        self._transport = transport
        #: Whether it was out of reach; whoever has another may leave this one alone then.
        self.is_down = False
        self._trust = trust
        self._authenticator = Authenticator(url, find_credential, self._to_service)

    def request(
        self,
        method: str,
        url: Url,
        scopes: Scopes,
        headers: Optional[Mapping[str, str]] = None,
        body: Optional[Body] = None,
    ) -> Response:
        """The answer, whatever its status, after as many attempts as the policy allows.

        Raises Unreachable if none of them gave one that says something, and AccessDenied if the
        registry wants credentials that are not there or that it refuses.
        """
        failures = 0
        while True:
            try:
                return self.attempt(method, url, scopes, headers, body)
            except Interrupted as error:
                failures += 1
                self.wait_or_give_up(failures, error)

    def attempt(
        self,
        method: str,
        url: Url,
        scopes: Scopes,
        headers: Optional[Mapping[str, str]] = None,
        body: Optional[Body] = None,
    ) -> Response:
        """As ``request``, once: raises Interrupted where another attempt makes sense."""
        try:
            response = self._exchange(method, url, scopes, headers or {}, body)
        except CONNECTION_ERRORS as error:
            self.is_down = True
            raise _broken(url, error) from error
        self.is_down = False
        return _checked(method, url, response)

    def fetch(
        self,
        method: str,
        url: Url,
        scopes: Scopes,
        limit: int,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Tuple[Response, bytes]:
        """A small answer with its whole body, of at most ``limit`` bytes. Raises as ``request``,
        and RegistryError for a longer one."""
        failures = 0
        while True:
            try:
                with self.attempt(method, url, scopes, headers) as response:
                    return response, response.read_all(limit)
            except CONNECTION_ERRORS as error:
                cut: Interrupted = _broken(url, error)
            except Interrupted as error:
                cut = error
            failures += 1
            self.wait_or_give_up(failures, cut)

    def wait_or_give_up(self, failures: int, cut: Interrupted, what: str = "") -> None:
        """Sleeps after the ``failures``-th failure in a row, which is ``cut``, as long as the
        policy says; after the last that it allows, raises Unreachable. ``what`` was tried."""
        if failures >= self.policy.attempts:
            told = f"{what}: {cut}" if what else str(cut)
            raise Unreachable(f"{told} ({failures} attempts)", cut.status) from cut
        self.policy.wait(failures, cut.retry_after)

    def _exchange(
        self,
        method: str,
        url: Url,
        scopes: Scopes,
        headers: Mapping[str, str],
        body: Optional[Body],
    ) -> Response:
        redirects = answers = 0
        authorization = self._authenticator.header(scopes) if self._is_ours(url) else ""
        while True:
            ours = self._is_ours(url)
            sent: Dict[str, str] = dict(headers)
            if ours and authorization:
                sent["Authorization"] = authorization
            response = self._transport.send(method, url, sent, body, self._trust)
            if response.status == 401 and ours:
                answers += 1
                if answers > _MOST_ANSWERS:
                    said = refusal(response, f"{method} {url}")
                    raise AccessDenied(f"{said}; {self._authenticator.advice()}", 401, said.codes)
                with response:
                    authorization = self._authenticator.answer(response, scopes, authorization)
                continue
            location = response.header("Location")
            if not location or response.status not in _REDIRECTS:
                return response
            if body is not None and response.status not in _KEEPING:
                return response
            response.close()
            redirects += 1
            if redirects > _MOST_REDIRECTS:
                raise RegistryError(f"{url}: it redirects more than {_MOST_REDIRECTS} times")
            url = self.followed(url, location)

    def followed(self, url: Url, location: str) -> Url:
        """Where a ``Location`` header of ``url`` leads. Raises RegistryError for no URL, and for
        one that gives TLS up."""
        try:
            target = url.joined(location)
        except StrataError as error:
            raise RegistryError(f"{url}: it leads to what is no URL: {error}") from error
        if url.scheme == "https" and target.scheme != "https":
            raise RegistryError(f"{url}: it leads to {target}, which does not use TLS")
        return target

    def _is_ours(self, url: Url) -> bool:
        return url.origin == self.url.origin

    def _to_service(
        self, method: str, url: Url, headers: Dict[str, str], body: Optional[Body]
    ) -> Response:
        failures = 0
        while True:
            try:
                response = self._transport.send(method, url, headers, body, self._trust)
                return _checked(method, url, response)
            except CONNECTION_ERRORS as error:
                cut: Interrupted = _broken(url, error)
            except Interrupted as error:
                cut = error
            failures += 1
            self.wait_or_give_up(failures, cut, "token service")


def refusal(response: Response, what: str, content: Optional[bytes] = None) -> RegistryError:
    """The error that an answer means, with what the registry says about it. Closes the answer.

    ``what`` names what was asked for; ``content`` is the answer's body if it was read already.
    """
    codes: Tuple[str, ...] = ()
    said = ""
    try:
        with response:
            if content is None:
                content = response.read_all(_LONGEST_ERROR)
        data = json.loads(content or b"{}")
        errors = [item for item in data.get("errors") or () if isinstance(item, dict)]
        codes = tuple(str(item.get("code", "")) for item in errors)
        texts = [f"{item.get('code', '')}: {item.get('message', '')}" for item in errors]
        said = "; ".join(texts)[:500]
    except (ValueError, AttributeError, TypeError, RegistryError, *CONNECTION_ERRORS):
        # What it says is an extra: the status is enough.
        pass
    status = response.status
    message = f"{what}: {status} {said or response.reason}"
    if status == 404:
        return NotFound(message, status, codes)
    if status in (401, 403):
        return AccessDenied(message, status, codes)
    return RegistryError(message, status, codes)


def _checked(method: str, url: Url, response: Response) -> Response:
    if response.status not in PASSING:
        return response
    retry_after = response.header("Retry-After")
    error = refusal(response, f"{method} {url}")
    raise Interrupted(str(error), response.status, retry_after)


def _broken(url: Url, error: BaseException) -> Interrupted:
    """Raises Unreachable if nothing can help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        raise Unreachable(
            f"{url}: its certificate is not trusted: {error.verify_message}; if a private "
            "authority signed it, set `ca_file` of this registry"
        ) from error
    if will_stay(error):
        hint = (
            ""
            if not isinstance(error, ssl.SSLError)
            else ("; it does not speak TLS. If plain HTTP is meant, say so with `plain_http`")
        )
        raise Unreachable(f"{url}: {_text(error)}{hint}") from error
    return Interrupted(f"{url}: {_text(error)}")


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
