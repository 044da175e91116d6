"""The closure of an image: its targets' objects, merged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Set, Tuple

from pants.engine.addresses import Address
from pants.engine.target import Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.contents import ImageContentsRequest, find_image_contents
from layered_image.closure.provider import (
    Interpreter,
    LinkFarm,
    ProvidedApplication,
    ProvidedObject,
    ProvidedObjects,
    ProvideObjectsRequest,
    RootEntry,
    provide_objects,
)
from layered_image.engine import collect_rules, concurrently, implicitly, rule
from layered_image.errors import LayeredImageError
from layered_image.fields.values import frozen, thawed
from layered_image.images.config_addresses import replace_addresses
from layered_image.target_types import LayeredImageConfigField, LayeredImageContentsField
from strata.platforms import Platform
from strata.supply_chain.facts import Origin


@dataclass(frozen=True)
class ImageClosureRequest:
    target: Target
    platform: Platform


@dataclass(frozen=True)
class ImageClosure:
    """Objects by name in name order; ``references`` as in ``ProvidedObjects``; ``config`` with
    paths for addresses; ``python_packages`` is the target whose lock has the interpreter."""

    objects: Tuple[ProvidedObject, ...]
    references: FrozenDict
    applications: Tuple[ProvidedApplication, ...]
    farms: Tuple[LinkFarm, ...]
    entries: Tuple[RootEntry, ...]
    interpreter: Optional[Interpreter]
    python_packages: Optional[Target]
    config: FrozenDict
    # What each address of the contents and of what they depend on brought, for plans that name
    # addresses.
    roots: FrozenDict
    # What each asks for, for people who want to know why an object is there.
    requested: FrozenDict
    # Debian packages whose maintainer scripts run.
    configured: Tuple[str, ...]
    # Where each object comes from, for those who are told what is in the image.
    origins: FrozenDict


@rule(desc="Find the closure of an image", level=LogLevel.DEBUG)
async def find_image_closure(request: ImageClosureRequest) -> ImageClosure:
    image = request.target
    address = image.address
    contents = await find_image_contents(
        ImageContentsRequest(image, request.platform), **implicitly()
    )
    provided = await concurrently(
        provide_objects(**implicitly({item: ProvideObjectsRequest})) for item in contents.requests
    )
    paths = {}
    by_address = {item.address: item for item in provided}
    for text, addresses in contents.in_config.items():
        paths[text] = by_address[addresses[0]].path if len(addresses) == 1 else ""
        if not paths[text]:
            raise LayeredImageError(
                address,
                f"{text} stands for no path in the image; name a target with one program or file",
                LayeredImageConfigField.alias,
            )
    config = thawed(image[LayeredImageConfigField].value)
    merged = _merged(address, provided, replace_addresses(config, paths))
    return replace(
        merged,
        interpreter=contents.context.interpreter,
        python_packages=contents.python_packages,
    )


def _merged(
    address: Address,
    provided: Tuple[ProvidedObjects, ...],
    config: Dict,
) -> ImageClosure:
    objects: Dict[str, Tuple[ProvidedObject, Address]] = {}
    references: Dict[str, Set[str]] = {}
    applications: Dict[str, Address] = {}
    origins: Dict[str, Origin] = {}
    for item in provided:
        for thing in item.objects:
            name = thing.item.name
            own = Origin(address=item.address.spec)
            origins.setdefault(name, item.origins.get(name, own))
            held = objects.setdefault(name, (thing, item.address))
            if held[0] != thing:
                raise LayeredImageError(
                    address, _conflict(held, (thing, item.address)), LayeredImageContentsField.alias
                )
        for name, targets in item.references.items():
            references.setdefault(name, set()).update(targets)
        mounts = [item.application.path] if item.application else []
        mounts += [farm.mount for farm in item.farms]
        for mount in mounts:
            other = applications.setdefault(mount, item.address)
            if other != item.address:
                raise LayeredImageError(
                    address,
                    f"both {other} and {item.address} would be at /{mount}; rename one of them",
                    LayeredImageContentsField.alias,
                )
    entries: List[RootEntry] = []
    for entry in (entry for item in provided for entry in item.entries):
        if entry not in entries:
            entries.append(entry)
    return ImageClosure(
        tuple(objects[name][0] for name in sorted(objects)),
        FrozenDict({name: tuple(sorted(references.get(name, ()))) for name in sorted(objects)}),
        tuple(item.application for item in provided if item.application),
        tuple(farm for item in provided for farm in item.farms),
        tuple(sorted(entries, key=lambda entry: (entry.path, entry.type, entry.target))),
        None,
        None,
        frozen(config),
        FrozenDict(_by_address(provided)),
        FrozenDict({item.address: item.requested or item.roots for item in provided}),
        tuple(sorted({name for item in provided for name in item.configured})),
        FrozenDict(origins),
    )


def _by_address(provided: Tuple[ProvidedObjects, ...]) -> Dict[Address, Tuple[str, ...]]:
    names: Dict[Address, Set[str]] = {}
    for item in provided:
        names.setdefault(item.address, set()).update(item.roots)
        for address, found in item.named.items():
            names.setdefault(address, set()).update(found)
    return {address: tuple(sorted(found)) for address, found in names.items()}


def _conflict(first: Tuple[ProvidedObject, Address], second: Tuple[ProvidedObject, Address]) -> str:
    name = first[0].item.name
    versions = [f"{item.item.version or 'one form'} in {where}" for item, where in (first, second)]
    return (
        f"two different objects are named {name}: {versions[0]} and {versions[1]}. Bring both "
        "targets to one version (one resolve, one lock), or rename one of them"
    )


def rules():
    return collect_rules()
