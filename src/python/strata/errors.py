"""The one error type that a user of the engine has to handle."""

from __future__ import annotations


class StrataError(Exception):
    """Bad input. The message says what is wrong, where, and what to do about it."""
