"""What a push or pull says while it goes on: one line for each blob, and more if it takes long."""

from __future__ import annotations

import threading
import time
from typing import Callable, Dict

from strata.registry.body import OnPosition
from strata.registry.descriptor import Descriptor

_EVERY = 5.0


class Progress:
    """``write`` gets whole lines. Blobs under way are reported every few seconds, not more often:
    a log keeps every line. Threads may share it."""

    def __init__(
        self,
        write: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._said: Dict[str, float] = {}

    def line(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def follow(self, blob: Descriptor) -> OnPosition:
        """What to call with the number of bytes of ``blob`` that are through."""
        name = short(blob.digest)
        with self._lock:
            self._said[name] = self._clock()

        def on_position(position: int) -> None:
            with self._lock:
                now = self._clock()
                if position < blob.size and now - self._said[name] >= _EVERY:
                    self._said[name] = now
                    percent = 100 * position // blob.size
                    self._write(f"{name}: {size(position)} of {size(blob.size)} ({percent} %)")

        return on_position


def short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def size(count: int) -> str:
    """Bytes as people read them."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.1f} MB"
