"""The archives that the machine's apt configuration names, by sources.list(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Sequence, Tuple

from strata.closure.debian.deb822 import paragraphs

APT_FOLDER = Path("/etc/apt")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<rest>.+)")
_FETCHABLE = ("http:", "https:", "file:")
_OFF = ("no", "false", "without", "off", "disable", "0")


@dataclass(frozen=True)
class Mirror:
    """An archive's root and what is taken from it.

    ``signed_by`` are the keyrings (paths) or fingerprints that its signatures need, separated by
    commas; ``key`` is a key that stands in the configuration itself. With neither, apt's own
    keyrings count. ``architectures`` is empty where all are offered.
    """

    uri: str
    suites: Tuple[str, ...]
    components: Tuple[str, ...]
    signed_by: str = ""
    key: str = ""
    architectures: Tuple[str, ...] = ()

    @property
    def unusable(self) -> str:
        """Why the engine's downloader cannot fetch from here, or nothing if it can."""
        if self.uri.startswith(_FETCHABLE):
            return ""
        scheme = self.uri.partition(":")[0]
        if scheme == "mirror" or scheme.startswith("mirror+"):
            return f"{self.uri} is a list of mirrors; name one of them"
        return f"{scheme}: is no scheme to download from (it can be http, https or file)"

    def offers(self, suite: str, architecture: str, components: Sequence[str]) -> bool:
        """Whether ``suite`` is taken from here; empty arguments leave the choice open.

        One component in common is enough: other publishers name their suites after Debian's, and
        their components differently.
        """
        return (
            suite in self.suites
            and (not architecture or not self.architectures or architecture in self.architectures)
            and (not components or bool(set(components) & set(self.components)))
        )


def configured_sources(root: Path = APT_FOLDER) -> List[Mirror]:
    """All enabled binary sources in apt's order, those that cannot be downloaded from as well."""
    files = [root / "sources.list"]
    folder = root / "sources.list.d"
    if folder.is_dir():
        files += sorted(p for p in folder.iterdir() if p.suffix in (".list", ".sources"))
    found: List[Mirror] = []
    for file in files:
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            found += _stanzas(text) if file.suffix == ".sources" else _lines(text)
    return found


def configured_mirrors(root: Path = APT_FOLDER) -> List[Mirror]:
    """All enabled binary sources that can be downloaded from, in apt's order."""
    return [mirror for mirror in configured_sources(root) if not mirror.unusable]


def mirrors_for(
    suite: str,
    root: Path = APT_FOLDER,
    architecture: str = "",
    components: Sequence[str] = (),
) -> List[Mirror]:
    """The mirrors that have ``suite``, in apt's order, each once."""
    found: List[Mirror] = []
    for mirror in configured_mirrors(root):
        is_new = all(mirror.uri != other.uri for other in found)
        if is_new and mirror.offers(suite, architecture, components):
            found.append(mirror)
    return found


def _lines(text: str) -> Iterator[Mirror]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(
            option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
        )
        suite, *components = match["rest"].split()
        yield Mirror(
            match["uri"],
            (suite,),
            tuple(components),
            options.get("signed-by", ""),
            architectures=_listed(options.get("arch", "")),
        )


def _stanzas(text: str) -> Iterator[Mirror]:
    for fields in paragraphs(text):
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").lower() in _OFF:
            continue
        signed_by = fields.get("signed-by", "")
        key = ""
        if "BEGIN PGP" in signed_by:
            key, signed_by = _plain_key(signed_by), ""
        for uri in fields.get("uris", "").split():
            yield Mirror(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                ",".join(_listed(signed_by)),
                key,
                _listed(fields.get("architectures", "")),
            )


def _listed(value: str) -> Tuple[str, ...]:
    return tuple(value.replace(",", " ").split())


def _plain_key(value: str) -> str:
    """A key without what folds it into a field: indentation, and dots for empty lines."""
    lines = [line.strip() for line in value.splitlines()]
    return "".join(f"{'' if line == '.' else line}\n" for line in lines)
