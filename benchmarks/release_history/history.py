"""The state of the repository at each release: its images' closures, as graphs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from release_history.repository import BASE_PACKAGES, IMAGES, SOURCES
from strata.model import Graph, ImageObject

_FOLDER = Path(__file__).parent
_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: What first-party Python takes as part of a compressed layer, over its size in files.
_SOURCE_RATIO = 0.25

#: An object's name and what stands for its content.
Content = Tuple[str, str]


@dataclass(frozen=True)
class Release:
    """``images`` are closures by name; ``contents`` and ``packed`` say for each object's name what
    its content is, and how many bytes it is as part of a compressed layer."""

    images: Mapping[str, Graph]
    contents: Mapping[str, Content]
    packed: Mapping[str, int]


def load_gathered() -> Dict[str, Any]:
    """What ``gather.py`` wrote."""
    gathered: Dict[str, Any] = json.loads((_FOLDER / "objects.json").read_text(encoding="utf-8"))
    return gathered


def load_history() -> List[Release]:
    """The history that is told in ``releases.json``."""
    changes = json.loads((_FOLDER / "releases.json").read_text(encoding="utf-8"))
    return replayed(load_gathered(), changes)


def replayed(gathered: Dict[str, Any], changes: List[Dict[str, Any]]) -> List[Release]:
    """The state before the first change, and after each release."""
    objects = gathered["objects"]
    versions: Dict[str, str] = {
        name: next(iter(known)) for name, known in objects.items() if name.startswith("debian:")
    }
    versions.update(gathered["states"][0])
    sizes = {f"source:{name}": size for name, (size, _) in SOURCES.items()}
    edits = dict.fromkeys(sizes, 0)
    history = [_release(objects, gathered["states"], versions, sizes, edits)]
    for change in changes:
        versions.update(change["versions"])
        for name, size in change["edited"].items():
            sizes[name] = size
            edits[name] += 1
        history.append(_release(objects, gathered["states"], versions, sizes, edits))
    return history


def _release(
    objects: Mapping[str, Mapping[str, List]],
    states: List[Dict[str, str]],
    versions: Dict[str, str],
    sizes: Mapping[str, int],
    edits: Mapping[str, int],
) -> Release:
    items: Dict[str, ImageObject] = {}
    references: Dict[str, List[str]] = {}
    packed: Dict[str, int] = {}
    pending = sorted(versions)
    while pending:
        name = pending.pop()
        unpacked, packed[name], needed = objects[name][versions[name]]
        items[name] = ImageObject(name, versions[name], unpacked)
        references[name] = list(needed)
        for target in needed:
            if target not in versions:
                # A newer version of this object has begun to need it.
                versions[target] = next(state[target] for state in states if target in state)
                pending.append(target)
    for name in SOURCES:
        full = f"source:{name}"
        items[full] = ImageObject(full, "", sizes[full], first_party=True)
        references[full] = [f"source:{other}" for other in SOURCES[name][1]]
        packed[full] = int(sizes[full] * _SOURCE_RATIO)
    interpreter = "debian:python3.11-minimal"
    for name, targets in references.items():
        if not name.startswith("debian:"):
            targets.append(interpreter)
    images = {image: _closure(image, items, references) for image in IMAGES}
    contents = {
        name: (name, f"{item.version}+{edits.get(name, 0)}") for name, item in items.items()
    }
    return Release(images, contents, packed)


def _closure(
    image: str, items: Mapping[str, ImageObject], references: Mapping[str, List[str]]
) -> Graph:
    declared = IMAGES[image]
    wheels = [_wheel(text) for text in declared.wheels]
    roots = [f"debian:{name}" for name in (*BASE_PACKAGES, *declared.packages)]
    roots += wheels
    # First-party code needs the wheels that its image asks for.
    edges = {name: list(targets) for name, targets in references.items()}
    for name in declared.sources:
        edges[f"source:{name}"] += wheels
    roots += [f"source:{name}" for name in (*declared.sources, *declared.libraries)]
    reached: Dict[str, None] = {}
    pending = roots
    while pending:
        name = pending.pop()
        if name not in reached:
            reached[name] = None
            pending += edges[name]
    return Graph((items[name] for name in reached), {name: edges[name] for name in reached})


def _wheel(specifier: str) -> str:
    match = _NAME.match(specifier)
    assert match is not None, specifier
    return "python:" + re.sub(r"[-_.]+", "-", match[0]).lower()
