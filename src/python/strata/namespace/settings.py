"""What a session runs, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Tuple

from strata.archive.entry import Entry
from strata.namespace.layer_cache import PackedLayer


@dataclass(frozen=True)
class Tool:
    """A program by the name that commands call it by."""

    name: str
    path: Path


@dataclass(frozen=True)
class Script:
    """Commands of one field. ``as_root`` gives the privileges that builds need, ``in_image`` makes
    the image's root the root folder."""

    field: str
    text: str
    as_root: bool
    in_image: bool


@dataclass(frozen=True)
class Settings:
    """``packaged`` tools are files of the sandbox. ``programs`` are this machine's, as are the
    ``usual`` ones, which are there only where the image is not the root, and ``bash``. ``files``
    are there for commands to read, and are no programs. ``time`` is SOURCE_DATE_EPOCH and
    ``timeout`` in seconds; ``memory`` is how much of it the changes may take, as tmpfs(5) has it;
    ``parents`` are folders of lower layers that have another mode or owner than usual."""

    scripts: Tuple[Script, ...]
    packaged: Tuple[Tool, ...]
    programs: Tuple[Tool, ...]
    usual: Tuple[Tool, ...]
    files: Tuple[Tool, ...]
    bash: Path
    environment: Dict[str, str]
    timeout: float
    memory: str
    time: int
    layers: Tuple[PackedLayer, ...]
    parents: Tuple[Entry, ...]
