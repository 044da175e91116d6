"""The errors that targets and their fields are rejected with."""

from __future__ import annotations

from pants.engine.addresses import Address
from pants.engine.target import InvalidFieldException


class LayeredImageError(Exception):
    """Names the target, the field where there is one, and the way out."""

    def __init__(self, address: Address, message: object, field: str = "") -> None:
        where = f"`{field}` of {address}" if field else str(address)
        super().__init__(f"{where}: {message}")


def invalid_field(address: Address, alias: str, error: object) -> InvalidFieldException:
    return InvalidFieldException(f"The `{alias}` field in target {address} is invalid: {error}")
