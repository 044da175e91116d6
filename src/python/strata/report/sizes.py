"""Sizes as people read them."""

from __future__ import annotations


def decimal_size(count: int) -> str:
    """``count`` bytes with a decimal unit, as registries and ``docker images`` show them."""
    if count < 1000:
        return f"{count} B"
    value, units = count / 1000, ["kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}"
