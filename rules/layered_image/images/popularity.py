"""In which images of the repository each object is: ``[layered-images].popularity_scope``.

Only names are asked for. No layer is built, nothing is packaged and no Debian package fetched for
an image that is merely counted; wheels are resolved, since only a resolve tells their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Set, Tuple

from pants.engine.target import AllTargets, Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.contents import ImageContentsRequest, find_image_contents
from layered_image.closure.debian_target_types import DebianLockField
from layered_image.closure.provider import ProvideObjectsRequest, provide_objects
from layered_image.engine import collect_rules, concurrently, implicitly, rule
from layered_image.fields.layering import LayeredImageLayeringField
from layered_image.fields.platforms import image_platforms


@dataclass(frozen=True)
class ObjectNamesRequest:
    """``target`` is an image."""

    target: Target


@dataclass(frozen=True)
class ObjectNames:
    names: Tuple[str, ...]


@dataclass(frozen=True)
class PopularityRequest:
    """Asked only when an image's plan is to look at all others."""


@dataclass(frozen=True)
class Popularity:
    """The addresses of the images that have an object, by its name."""

    images: FrozenDict


@rule(desc="Find the names of an image's objects", level=LogLevel.DEBUG)
async def find_object_names(request: ObjectNamesRequest) -> ObjectNames:
    # Names are nearly the same for all of its platforms.
    platform = image_platforms(request.target)[0]
    contents = await find_image_contents(
        ImageContentsRequest(request.target, platform), **implicitly()
    )
    names: Set[str] = {
        f"debian:{package.name}" for lock in contents.locks for package in lock.packages
    }
    asked: List[ProvideObjectsRequest] = []
    for item in contents.requests:
        known = item.known_names()
        if known is not None:
            names.update(known)
        elif not item.target.has_field(DebianLockField):
            asked.append(item)
    provided = await concurrently(
        provide_objects(**implicitly({item: ProvideObjectsRequest})) for item in asked
    )
    names.update(thing.item.name for item in provided for thing in item.objects)
    return ObjectNames(tuple(sorted(names)))


@rule(desc="Count the images that have each object", level=LogLevel.DEBUG)
async def find_popularity(request: PopularityRequest, all_targets: AllTargets) -> Popularity:
    images = [target for target in all_targets if target.has_field(LayeredImageLayeringField)]
    found = await concurrently(
        find_object_names(ObjectNamesRequest(image), **implicitly()) for image in images
    )
    holders: Dict[str, List[str]] = {}
    for address, names in sorted((i.address.spec, o.names) for i, o in zip(images, found)):
        for name in names:
            holders.setdefault(name, []).append(address)
    return Popularity(FrozenDict({name: tuple(held) for name, held in holders.items()}))


def rules():
    return collect_rules()
