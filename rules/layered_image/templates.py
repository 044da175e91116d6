"""Text with placeholders in braces, as Pants' docker backend has it: ``{name}``. Two braces
(``{{``, ``}}``) stand for one that is meant."""

from __future__ import annotations

import re
from typing import Mapping, Tuple

from strata.errors import StrataError

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def placeholders_in(template: str) -> Tuple[str, ...]:
    """The names of all placeholders, each once.

    Raises StrataError for a brace that neither belongs to a placeholder nor is doubled.
    """
    found = []
    for token in _TOKEN.finditer(template):
        if token[0] in ("{", "}"):
            raise StrataError(
                f"{template!r} has a single {token[0]!r}; write {token[0] * 2!r} for a brace that "
                "is meant"
            )
        if token[1] is not None:
            found.append(token[1])
    return tuple(dict.fromkeys(found))


def filled(template: str, values: Mapping[str, str]) -> str:
    """``template`` with its placeholders replaced by ``values``.

    Raises StrataError as ``placeholders_in``, and for a placeholder that has no value.
    """
    for name in placeholders_in(template):
        if name not in values:
            known = ", ".join(f"{{{name}}}" for name in sorted(values))
            raise StrataError(
                f"{template!r} has the unknown placeholder {{{name}}}; there are {known}"
            )

    def value(token: "re.Match[str]") -> str:
        return token[0][0] if token[1] is None else values[token[1]]

    return _TOKEN.sub(value, template)
