"""Settings from environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping

from common.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    """``max_pixels`` bounds what an uploaded image may unpack to; ``threads`` serve requests."""

    host: str = "0.0.0.0"
    port: int = 8080
    threads: int = 4
    max_pixels: int = 50_000_000

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Reads HOST, PORT, THREADS and MAX_PIXELS. Raises SettingsError for what is no number."""
        return cls(
            environment.get("HOST", cls.host),
            _number(environment, "PORT", cls.port),
            _number(environment, "THREADS", cls.threads),
            _number(environment, "MAX_PIXELS", cls.max_pixels),
        )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdigit() or int(text) == 0:
        raise SettingsError(f"{name} must be a positive number, not {text!r}")
    return int(text)
