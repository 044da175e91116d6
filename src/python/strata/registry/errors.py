"""What can go wrong between us and a registry, for those who want to tell the cases apart."""

from __future__ import annotations

from typing import Optional, Tuple

from strata.errors import StrataError


class RegistryError(StrataError):
    """A registry refused something, or answered with what makes no sense.

    ``status`` is the HTTP status, or None if there was no answer. ``codes`` are those of the OCI
    distribution specification v1.1, "Error Codes". Messages hold no credential and no query of a
    URL, so they may be shown and logged.
    """

    def __init__(
        self, message: str, status: Optional[int] = None, codes: Tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes


class NotFound(RegistryError):
    """There is no such repository, manifest or blob, as far as these credentials can see."""


class AccessDenied(RegistryError):
    """The registry or its token service refuses these credentials (401 and 403)."""


class Unreachable(RegistryError):
    """No usable answer, after all attempts: no connection, cut, timed out, or overloaded."""


class DigestMismatch(RegistryError):
    """Content has another digest or size than it was asked for by."""
