"""What an image owes the root of its base: links stay, and folders keep their modes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, Mapping, Set

from strata.archive.entry import Entry, EntryType
from strata.closure.listing import ListedPath
from strata.errors import StrataError
from strata.oci.root import ImageRoot


def read_root(file: str) -> ImageRoot:
    """What ``strata scan`` wrote; an empty root without a file."""
    return ImageRoot.from_json(json.loads(Path(file).read_text())) if file else ImageRoot()


def check_links(root: ImageRoot, used: Mapping[str, str]) -> None:
    """``used`` are the directories of an image on top of ``root``, each with one of its owners.

    Raises StrataError where one would take the place of a link: what lower layers have behind it
    would be gone.
    """
    for link in sorted(root.links.keys() & used.keys()):
        owner, target = used[link], root.links[link]
        # Only objects, whose names start with their kind, can leave something out.
        way_out = (
            f'leave the folder out with omit_paths={{"{owner}": ["{link}", "{link}/*"]}}'
            if ":" in owner
            else f"choose a path in /{target}"
        )
        raise StrataError(
            f"/{link} is a folder in {owner}, and a link to /{target} in the base image: what is "
            f"behind the link would be hidden. Instead, {way_out}"
        )


def kept_directories(
    root: ImageRoot, used: Mapping[str, str], declared: Set[str]
) -> Dict[str, Entry]:
    """The directories that the image only passes through, as its base has them.

    Layers hold the parents of what they contain with a mode of their own, and what is ``declared``
    is meant to be as it says.
    """
    return {
        path: Entry(path, EntryType.DIRECTORY, mode, uid, gid)
        for path, (mode, uid, gid) in root.directories.items()
        if path in used and path not in declared
    }


def listed_root(root: ImageRoot) -> Dict[str, ListedPath]:
    """The unusual directories of ``root``."""
    return {
        path: ListedPath(path, True, mode, uid, gid)
        for path, (mode, uid, gid) in root.directories.items()
    }
