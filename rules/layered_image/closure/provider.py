"""The provider interface: how a kind of target becomes objects of an image.

A provider is a subclass of ``ProvideObjectsRequest`` registered with ``UnionRule``, and a rule
that takes it and returns ``ProvidedObjects``. Adding a kind touches that one module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Iterable, Optional, Tuple, Type

from pants.engine.addresses import Address
from pants.engine.environment import EnvironmentName
from pants.engine.fs import Digest
from pants.engine.target import Target
from pants.engine.unions import union
from pants.util.frozendict import FrozenDict

from layered_image.engine import rule
from strata.model import ImageObject
from strata.platforms import Platform


@dataclass(frozen=True)
class Interpreter:
    """The Python interpreter of an image: the object it is part of (empty if a base image brings
    it), its absolute path and its version (``3.11.2``)."""

    object_name: str
    path: str
    version: str

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class ImageContext:
    """What providers know of the image. No name and no address: what they make is shared."""

    platform: Platform
    store: str
    applications: str
    interpreter: Optional[Interpreter] = None
    libc: str = ""


@dataclass(frozen=True)
class ProvidedObject:
    """An object and where its content is.

    ``digest`` holds ``content/…`` and, for kinds that need one, ``manifest.json``. ``source`` is
    the content's path in it. ``root``, ``prefix`` and ``python_sources`` are as in
    ``strata.closure.objects.ObjectSpec``, ``kind`` names its reader.
    """

    item: ImageObject
    kind: str
    digest: Digest
    source: str = "content"
    root: str = ""
    prefix: str = ""
    python_sources: bool = False


@dataclass(frozen=True)
class RootEntry:
    """A declared entry of the customisation layer; ``type`` names a ``strata`` entry type."""

    path: str
    type: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    target: str = ""
    content: str = ""


@dataclass(frozen=True)
class LinkFarm:
    """Objects whose content is linked together below ``mount``, a path without slashes at its
    ends."""

    mount: str
    objects: Tuple[str, ...]


@dataclass(frozen=True)
class ProvidedApplication:
    """A Python application, as ``strata.closure.python.application`` builds it."""

    path: str
    objects: Tuple[str, ...]
    launcher_name: str = ""
    entry_point: str = ""
    script: str = ""
    args: Tuple[str, ...] = ()
    env: FrozenDict = field(default_factory=FrozenDict)


@dataclass(frozen=True)
class ProvidedObjects:
    """All that one target brings into an image.

    ``references`` maps object names to the names they refer to; ``roots`` are the objects that the
    target itself stands for, and ``requested`` those of them that it asks for, the rest being
    there for these (all roots where it is empty). ``named`` maps the addresses of other targets
    that objects come from to their names. ``configured`` are Debian packages whose maintainer
    scripts run. ``path`` is what the target's address means in ``config``. ``origins`` are by
    object name; what has none is made of the target itself.
    """

    address: Address
    objects: Tuple[ProvidedObject, ...] = ()
    references: FrozenDict = field(default_factory=FrozenDict)
    roots: Tuple[str, ...] = ()
    requested: Tuple[str, ...] = ()
    named: FrozenDict = field(default_factory=FrozenDict)
    configured: Tuple[str, ...] = ()
    entries: Tuple[RootEntry, ...] = ()
    farms: Tuple[LinkFarm, ...] = ()
    application: Optional[ProvidedApplication] = None
    path: str = ""
    origins: FrozenDict = field(default_factory=FrozenDict)


@union(in_scope_types=[EnvironmentName])
@dataclass(frozen=True)
class ProvideObjectsRequest:
    """Base of all providers. The applicable one with the lowest ``precedence`` is asked."""

    target: Target
    context: ImageContext

    precedence: ClassVar[int] = 50

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        """Whether this provider handles ``target``, which ``package`` can build or not."""
        raise NotImplementedError

    def known_names(self) -> Optional[Tuple[str, ...]]:
        """The names of the target's objects, or None if only building them tells.

        A provider that packages targets must know them: one image may be a file in another, and
        both may be counted for ``[layered-images].popularity_scope``.
        """
        return None


@rule(polymorphic=True)
async def provide_objects(
    request: ProvideObjectsRequest, environment_name: EnvironmentName
) -> ProvidedObjects:
    raise NotImplementedError


def provider_for(
    members: Iterable[Type[ProvideObjectsRequest]], target: Target, packageable: bool
) -> Optional[Type[ProvideObjectsRequest]]:
    """The provider of ``target`` among all registered ones, or None."""
    providers = sorted(members, key=lambda member: (member.precedence, member.__name__))
    return next((p for p in providers if p.is_applicable(target, packageable)), None)
