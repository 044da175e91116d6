"""What a ``401`` asks for (RFC 9110, section 11.6.1; Docker token authentication specification)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, Iterable, List

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*,?\s*({_TOKEN})(?:\s+|$)")
_PARAMETER = re.compile(rf'\s*,?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')


@dataclass(frozen=True)
class Challenge:
    """``scheme`` and the names of ``parameters`` are in lower case."""

    scheme: str
    parameters: Dict[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> List[Challenge]:
    """All challenges of all ``WWW-Authenticate`` headers; what is malformed is left out."""
    found: List[Challenge] = []
    for header in headers:
        position = 0
        while position < len(header):
            parameter = _PARAMETER.match(header, position)
            if parameter and found:
                name, quoted, plain = parameter.groups()
                value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                found[-1].parameters[name.lower()] = value
                position = parameter.end()
                continue
            scheme = _SCHEME.match(header, position)
            if not scheme:
                break
            found.append(Challenge(scheme[1].lower()))
            position = scheme.end()
    return found
