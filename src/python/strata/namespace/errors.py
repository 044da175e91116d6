"""Why this machine cannot do what a command needs."""

from __future__ import annotations

from strata.errors import StrataError


class NamespaceError(StrataError):
    """The kernel, or whoever set this machine up, refuses a namespace. The message says why, and
    what to change."""
