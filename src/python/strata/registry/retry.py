"""Which failures pass, and how long to wait for that."""

from __future__ import annotations

import email.utils
import random
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Callable

from strata.registry.settings import ClientSettings

#: Answers that another attempt may not get (RFC 9110, section 15; 429 is from RFC 6585).
PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class RetryPolicy:
    """Times are in seconds. ``sleep`` and ``jitter`` (a factor) are here for tests to replace."""

    attempts: int = 6
    first_delay: float = 0.5
    longest_delay: float = 20.0
    longest_retry_after: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = lambda: random.uniform(0.75, 1.25)

    @classmethod
    def of(cls, settings: ClientSettings, sleep: Callable[[float], None]) -> "RetryPolicy":
        return cls(
            max(1, settings.attempts),
            settings.first_delay,
            settings.longest_delay,
            settings.longest_retry_after,
            sleep,
        )

    def wait(self, failures: int, retry_after: str = "") -> None:
        """Sleeps after the ``failures``-th failure in a row. ``retry_after`` is the server's word
        for how long, if it gave one."""
        delay = min(self.longest_delay, self.first_delay * 2 ** (failures - 1)) * self.jitter()
        self.sleep(max(delay, min(self.longest_retry_after, seconds_of(retry_after))))


def seconds_of(retry_after: str) -> float:
    """A ``Retry-After`` header in seconds from now (RFC 9110, section 10.2.3); 0 for none."""
    text = retry_after.strip()
    if text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return 0.0
    return max(0.0, moment.timestamp() - time.time())


def will_stay(error: BaseException) -> bool:
    """Whether a connection error is one that no further attempt changes."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    if isinstance(error, ssl.SSLError):
        return error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
