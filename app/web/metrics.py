"""Counters in the Prometheus text format."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Tuple


class Metrics:
    """Counts requests by endpoint and status, and adds up the time they took, in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: "Counter[Tuple[str, int]]" = Counter()
        self._seconds: "Counter[str]" = Counter()

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[endpoint, status] += 1
            self._seconds[endpoint] += seconds  # type: ignore[assignment]

    def render(self) -> str:
        with self._lock:
            lines = ["# TYPE http_requests_total counter"]
            for (endpoint, status), count in sorted(self._requests.items()):
                labels = f'endpoint="{endpoint}",status="{status}"'
                lines.append(f"http_requests_total{{{labels}}} {count}")
            lines.append("# TYPE http_request_seconds_total counter")
            for endpoint, seconds in sorted(self._seconds.items()):
                lines.append(f'http_request_seconds_total{{endpoint="{endpoint}"}} {seconds:.6f}')
        return "\n".join(lines) + "\n"
