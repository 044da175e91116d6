"""The error that a target is rejected with."""

from __future__ import annotations

from pants.engine.addresses import Address


class LayeredImageError(Exception):
    """Names the target, the field where there is one, and the way out."""

    def __init__(self, address: Address, message: object, field: str = "") -> None:
        where = f"`{field}` of {address}" if field else str(address)
        super().__init__(f"{where}: {message}")
