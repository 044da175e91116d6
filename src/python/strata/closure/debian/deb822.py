"""The syntax of Debian's control data, deb822(5)."""

from __future__ import annotations

from typing import Dict, Iterator


def paragraphs(text: str) -> Iterator[Dict[str, str]]:
    """The paragraphs of ``text``, with lower-case field names: their case has no meaning.

    A value keeps its line breaks and loses the white space around it. Comments are left out; a line
    that is neither a field nor the continuation of one is skipped, as apt does.
    """
    fields: Dict[str, str] = {}
    current = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, current = {}, ""
        elif line[0] in " \t":
            if current:
                fields[current] = f"{fields[current]}\n{line.rstrip()}".lstrip("\n")
        else:
            name, colon, value = line.partition(":")
            current = name.strip().lower() if colon else ""
            if current:
                fields[current] = value.strip()
    if fields:
        yield fields
