"""Where paths lead in a root that has links to folders, as one with a merged /usr has."""

from __future__ import annotations

from typing import Mapping


def led(path: str, links: Mapping[str, str]) -> str:
    """Where ``path`` lies once every link above it is followed; its own name stays.

    ``links`` leads from paths of links to paths of folders that have no links above them
    themselves, all without a leading slash (``strata.oci.root.ImageRoot``).
    """
    head, slash, rest = path.partition("/")
    while slash:
        if head in links:
            head = links[head]
        name, slash, rest = rest.partition("/")
        head = f"{head}/{name}" if head else name
    return head
