"""Values of fields as Pants can hash them, and back."""

from __future__ import annotations

from typing import Any

from pants.util.frozendict import FrozenDict


def frozen(value: Any) -> Any:
    """``value`` with its dicts and lists made hashable, as the engine needs its keys to be."""
    if isinstance(value, dict):
        return FrozenDict({key: frozen(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(frozen(item) for item in value)
    return value


def thawed(value: Any) -> Any:
    """The reverse of ``frozen``."""
    if isinstance(value, FrozenDict):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [thawed(item) for item in value]
    return value
