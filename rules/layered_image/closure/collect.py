"""The closure of an image: its targets' objects, merged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Set, Tuple

from pants.core.goals.package import PackageFieldSet
from pants.engine.addresses import Address, Addresses, UnparsedAddressInputs
from pants.engine.target import FieldSetsPerTargetRequest, Target
from pants.engine.unions import UnionMembership
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.debian import LoadedLockRequest, load_lock, lock_for
from layered_image.closure.debian_target_types import DebianLockField
from layered_image.closure.provider import (
    ImageContext,
    Interpreter,
    LinkFarm,
    ProvidedApplication,
    ProvidedObject,
    ProvidedObjects,
    ProvideObjectsRequest,
    RootEntry,
    provide_objects,
    provider_for,
)
from layered_image.config_addresses import find_addresses, replace_addresses
from layered_image.engine import (
    collect_rules,
    concurrently,
    find_valid_field_sets,
    implicitly,
    resolve_targets,
    resolve_unparsed_address_inputs,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.subsystem import LayeredImageSubsystem
from layered_image.target_types import (
    LayeredImageConfigField,
    LayeredImageContentsField,
    LayeredImageInterpreterField,
    frozen,
    thawed,
)
from strata.closure.debian.interpreter import interpreter_of, libc_version
from strata.platforms import Platform


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
    # What each address of the contents brought itself, for plans that name addresses.
    roots: FrozenDict
    # What each asks for, for people who want to know why an object is there.
    requested: FrozenDict
    # Debian packages whose maintainer scripts run.
    configured: Tuple[str, ...]


@rule(desc="Find the closure of an image", level=LogLevel.DEBUG)
async def find_image_closure(
    request: ImageClosureRequest,
    union_membership: UnionMembership,
    options: LayeredImageSubsystem,
) -> ImageClosure:
    image = request.target
    address = image.address
    config = thawed(image[LayeredImageConfigField].value)
    in_config = find_addresses(config)
    contents = await resolve_unparsed_address_inputs(
        image[LayeredImageContentsField].to_unparsed_address_inputs(), **implicitly()
    )
    mentioned = await concurrently(
        resolve_unparsed_address_inputs(
            UnparsedAddressInputs(
                [text],
                owning_address=address,
                description_of_origin=f"the `config` field of {address}",
            ),
            **implicitly(),
        )
        for text in in_config
    )
    groups = await concurrently(
        resolve_targets(**implicitly({addresses: Addresses}))
        for addresses in (contents, *mentioned)
    )
    targets = list({target.address: target for group in groups for target in group}.values())
    packageable = await find_valid_field_sets(
        FieldSetsPerTargetRequest(PackageFieldSet, targets), **implicitly()
    )
    with_locks = [target for target in targets if target.has_field(DebianLockField)]
    locks = await concurrently(
        load_lock(LoadedLockRequest(target), **implicitly()) for target in with_locks
    )
    interpreter = python_packages = None
    libc = ""
    for target, loaded in zip(with_locks, locks):
        lock = lock_for(loaded, request.platform)
        found = interpreter_of(lock)
        if found is not None:
            if interpreter is not None and interpreter.version != found[2]:
                raise LayeredImageError(
                    address,
                    f"its contents have two Python interpreters, {interpreter.path} and "
                    f"{found[1]}; keep one",
                    LayeredImageContentsField.alias,
                )
            interpreter = Interpreter(f"debian:{found[0]}", found[1], found[2])
            python_packages = target
        libc = libc or libc_version(lock) or ""
    declared = image[LayeredImageInterpreterField].value
    if declared is not None:
        path, _, version = declared.partition(" ")
        interpreter, python_packages = Interpreter("", path, version), None
    context = ImageContext(
        request.platform,
        options.store,
        options.applications,
        interpreter,
        libc,
    )
    members = union_membership.get(ProvideObjectsRequest)
    requests = []
    for target, sets in zip(targets, packageable.collection):
        provider = provider_for(members, target, bool(sets))
        if provider is None:
            raise LayeredImageError(
                address,
                f"{target.address} (a `{target.alias}`) cannot be put into an image: it is nothing "
                "that `package` can build. Name a target such as pex_binary, debian_packages, "
                "archive, files or resources, or one of the image_… helper targets",
                LayeredImageContentsField.alias,
            )
        requests.append(provider(target, context))
    provided = await concurrently(
        provide_objects(**implicitly({item: ProvideObjectsRequest})) for item in requests
    )
    paths = {}
    by_address = {item.address: item for item in provided}
    for text, group in zip(in_config, groups[1:]):
        paths[text] = by_address[group[0].address].path if len(group) == 1 else ""
        if not paths[text]:
            raise LayeredImageError(
                address,
                f"{text} stands for no path in the image; name a target with one program or file",
                LayeredImageConfigField.alias,
            )
    merged = _merged(address, provided, replace_addresses(config, paths))
    return replace(merged, interpreter=interpreter, python_packages=python_packages)


def _merged(
    address: Address,
    provided: Tuple[ProvidedObjects, ...],
    config: Dict,
) -> ImageClosure:
    objects: Dict[str, Tuple[ProvidedObject, Address]] = {}
    references: Dict[str, Set[str]] = {}
    applications: Dict[str, Address] = {}
    for item in provided:
        for thing in item.objects:
            name = thing.item.name
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
        FrozenDict({item.address: item.roots for item in provided}),
        FrozenDict({item.address: item.requested or item.roots for item in provided}),
        tuple(sorted({name for item in provided for name in item.configured})),
    )


def _conflict(first: Tuple[ProvidedObject, Address], second: Tuple[ProvidedObject, Address]) -> str:
    name = first[0].item.name
    versions = [f"{item.item.version or 'one form'} in {where}" for item, where in (first, second)]
    return (
        f"two different objects are named {name}: {versions[0]} and {versions[1]}. Bring both "
        "targets to one version (one resolve, one lock), or rename one of them"
    )


def rules():
    return collect_rules()
