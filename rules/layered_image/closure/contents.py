"""What an image names in ``contents`` and ``config``, and which provider handles each target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from pants.core.goals.package import PackageFieldSet
from pants.engine.addresses import Addresses, UnparsedAddressInputs
from pants.engine.target import FieldSetsPerTargetRequest, Target
from pants.engine.unions import UnionMembership
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.debian import LoadedLockRequest, load_lock, lock_for
from layered_image.closure.debian_target_types import DebianLockField
from layered_image.closure.provider import (
    ImageContext,
    Interpreter,
    ProvideObjectsRequest,
    provider_for,
)
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
from layered_image.fields.values import thawed
from layered_image.images.config_addresses import find_addresses
from layered_image.subsystem import LayeredImageSubsystem
from layered_image.target_types import (
    LayeredImageConfigField,
    LayeredImageContentsField,
    LayeredImageInterpreterField,
)
from strata.closure.debian.interpreter import interpreter_of, libc_version
from strata.closure.debian.lock import DebianLock
from strata.platforms import Platform


@dataclass(frozen=True)
class ImageContentsRequest:
    target: Target
    platform: Platform


@dataclass(frozen=True)
class ImageContents:
    """``requests`` are for all targets that the image names. ``in_config`` has the addresses that
    each text in ``config`` means; ``locks`` are those of Debian packages for the platform, and
    ``python_packages`` is the target whose packages have the interpreter."""

    requests: Tuple[ProvideObjectsRequest, ...]
    in_config: FrozenDict
    locks: Tuple[DebianLock, ...]
    python_packages: Optional[Target]
    context: ImageContext


@rule(desc="Find the contents of an image", level=LogLevel.DEBUG)
async def find_image_contents(
    request: ImageContentsRequest,
    union_membership: UnionMembership,
    options: LayeredImageSubsystem,
) -> ImageContents:
    image = request.target
    address = image.address
    in_config = find_addresses(thawed(image[LayeredImageConfigField].value))
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
    loaded = await concurrently(
        load_lock(LoadedLockRequest(target), **implicitly()) for target in with_locks
    )
    locks = tuple(lock_for(item, request.platform) for item in loaded)
    interpreter, python_packages = _interpreter(image, with_locks, locks)
    libc = next((found for found in map(libc_version, locks) if found), "")
    context = ImageContext(request.platform, options.store, options.applications, interpreter, libc)
    members = union_membership.get(ProvideObjectsRequest)
    requests: List[ProvideObjectsRequest] = []
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
    return ImageContents(
        tuple(requests),
        FrozenDict(
            {
                text: tuple(target.address for target in group)
                for text, group in zip(in_config, groups[1:])
            }
        ),
        locks,
        python_packages,
        context,
    )


def _interpreter(
    image: Target, targets: Sequence[Target], locks: Sequence[DebianLock]
) -> Tuple[Optional[Interpreter], Optional[Target]]:
    """The image's Python interpreter, and which of ``targets`` (with their ``locks``) has it."""
    declared = image[LayeredImageInterpreterField].value
    if declared is not None:
        path, _, version = declared.partition(" ")
        return Interpreter("", path, version), None
    interpreter = python_packages = None
    for target, lock in zip(targets, locks):
        found = interpreter_of(lock)
        if found is None:
            continue
        if interpreter is not None and interpreter.version != found[2]:
            raise LayeredImageError(
                image.address,
                f"its contents have two Python interpreters, {interpreter.path} and {found[1]}; "
                "keep one",
                LayeredImageContentsField.alias,
            )
        interpreter = Interpreter(f"debian:{found[0]}", found[1], found[2])
        python_packages = target
    return interpreter, python_packages


def rules():
    return collect_rules()
