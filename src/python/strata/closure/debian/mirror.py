"""The mirrors that the machine's apt configuration names, by sources.list(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Iterator, List, Tuple

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)")
_FETCHABLE = ("http:", "https:", "file:")


@dataclass(frozen=True)
class Mirror:
    """An archive's root, what is taken from it, and the keyring its signatures need (a path, or
    empty for apt's own keyrings)."""

    uri: str
    suites: Tuple[str, ...]
    components: Tuple[str, ...]
    signed_by: str = ""


def configured_mirrors(root: Path = Path("/etc/apt")) -> List[Mirror]:
    """All enabled binary sources, in apt's order. Media and mirror lists are left out: the engine's
    downloader cannot fetch from them."""
    files = [root / "sources.list"]
    folder = root / "sources.list.d"
    if folder.is_dir():
        files += sorted(p for p in folder.iterdir() if p.suffix in (".list", ".sources"))
    found: List[Mirror] = []
    for file in files:
        if file.is_file():
            text = file.read_text(errors="replace")
            read = _stanzas(text) if file.suffix == ".sources" else _lines(text)
            found += [mirror for mirror in read if mirror.uri.startswith(_FETCHABLE)]
    return found


def mirrors_for(suite: str, root: Path = Path("/etc/apt")) -> List[Mirror]:
    """The mirrors that have ``suite``, in apt's order, each once."""
    found = [mirror for mirror in configured_mirrors(root) if suite in mirror.suites]
    return list({mirror.uri: mirror for mirror in reversed(found)}.values())[::-1]


def _lines(text: str) -> Iterator[Mirror]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(
            option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
        )
        suite, *components = match["rest"].split()
        yield Mirror(match["uri"], (suite,), tuple(components), options.get("signed-by", ""))


def _stanzas(text: str) -> Iterator[Mirror]:
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", plain):
        headers = HeaderParser().parsestr(stanza.strip())
        if "deb" not in (headers["Types"] or "").split():
            continue
        if (headers["Enabled"] or "yes").strip().lower() in ("no", "false", "0", "off"):
            continue
        # A key may stand in the file itself; then there is no keyring to point at.
        signed_by = (headers["Signed-By"] or "").strip()
        signed_by = signed_by if signed_by.startswith("/") else ""
        for uri in (headers["URIs"] or "").split():
            yield Mirror(
                uri,
                tuple((headers["Suites"] or "").split()),
                tuple((headers["Components"] or "").split()),
                signed_by,
            )
