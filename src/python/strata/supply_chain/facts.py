"""What a build knows of an image and of what is in it, as JSON between the steps of a build.

Nothing here is found by looking into layers: it is what locks, packages' own metadata and targets
say, and what layer processes measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Tuple


@dataclass(frozen=True)
class Origin:
    """Where an object comes from. What is not known is empty.

    ``ecosystem`` is ``"pypi"``, ``"deb"`` or, for what is made in this repository, empty.
    ``architecture`` and ``suite`` are Debian's. ``sha256`` is of the artifact that was fetched, and
    ``file_name`` its name, or that of the wheel made from it; ``lock`` is a Python lock's path.
    ``address`` is the target's that has the object in this repository, ``licenses`` are what the
    object states itself.
    """

    ecosystem: str = ""
    name: str = ""
    architecture: str = ""
    suite: str = ""
    sha256: str = ""
    file_name: str = ""
    lock: str = ""
    address: str = ""
    licenses: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Origin":
        return cls(**{**data, "licenses": tuple(data.get("licenses", ()))})


@dataclass(frozen=True)
class BaseOrigin:
    """An image below. Of a registry it has a ``repository``, with the registry's host in front, and
    a ``digest``, which may be an index'; an archive has a ``sha256``; one of this repository has a
    ``name`` and a ``digest``. ``address`` is that of its target, ``layers`` are digests."""

    address: str
    name: str = ""
    repository: str = ""
    digest: str = ""
    sha256: str = ""
    layers: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "BaseOrigin":
        return cls(**{**data, "layers": tuple(data.get("layers", ()))})


@dataclass(frozen=True)
class ImageFacts:
    """``created`` is RFC 3339 text. ``layers`` have ``digest``, ``diff_id`` and ``members``, the
    bottom one first; ``origins`` are those of members, by layer digest and name. ``references`` are
    between names, and ``roots`` are names that the image's contents ask for, by address. ``bases``
    are from the bottom up."""

    address: str
    name: str
    digest: str
    architecture: str
    variant: str
    created: str
    layers: List[Dict[str, Any]]
    origins: Dict[str, Dict[str, Dict[str, Any]]]
    references: Dict[str, List[str]]
    roots: Dict[str, List[str]]
    bases: List[Dict[str, Any]]

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ImageFacts":
        return cls(**data)


@dataclass(frozen=True)
class Placed:
    """An object in a layer. ``reference`` is unique in the image: the object's name, or where a
    base has another object of that name lower down, that name and the layer's digest.

    ``dir_hash`` and ``source`` are as in ``strata.closure.facts``.
    """

    reference: str
    name: str
    version: str
    layer: str
    diff_id: str
    origin: Origin
    dir_hash: str = ""
    source: Tuple[str, str] = ("", "")


def placed_objects(facts: ImageFacts) -> List[Placed]:
    """All objects of an image whose origin is known, the lowest layer's first."""
    top: Dict[str, str] = {}
    for layer in facts.layers:
        for member in layer["members"]:
            top[member["name"]] = layer["digest"]
    found: Dict[str, Placed] = {}
    for layer in facts.layers:
        known = facts.origins.get(layer["digest"], {})
        for member in layer["members"]:
            name = member["name"]
            if name not in known:
                continue
            lower = top[name] != layer["digest"]
            reference = f"{name}#{layer['digest']}" if lower else name
            source = member.get("source", {})
            found[reference] = Placed(
                reference,
                name,
                member["version"],
                layer["digest"],
                layer["diff_id"],
                Origin.from_json(known[name]),
                member.get("dir_hash", ""),
                (source.get("name", ""), source.get("version", "")),
            )
    return list(found.values())
