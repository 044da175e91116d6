"""Paths of an image, found in its root folder: links lead to where they would lead inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

from strata.errors import StrataError

_MOST_LINKS = 40


def inside(root: Path, path: str) -> Path:
    """Where ``path`` of the image is on this machine, below ``root`` whatever its links say.

    It need not be there. Raises StrataError for links that lead nowhere but to each other.
    """
    todo = [part for part in path.split("/") if part]
    found: List[str] = []
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            found = found[:-1]
        elif part != ".":
            file = root.joinpath(*found, part)
            if not file.is_symlink():
                found.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise StrataError(f"{path} of the image is a link to itself")
            target = os.readlink(file)
            todo = [*(step for step in target.split("/") if step), *todo]
            if target.startswith("/"):
                found = []
    return root.joinpath(*found)
