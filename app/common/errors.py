"""Errors that a user can do something about."""

from __future__ import annotations


class SettingsError(Exception):
    """An environment variable has a value that makes no sense."""


class ImageError(Exception):
    """What was sent is no image, or too large a one."""
