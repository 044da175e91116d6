"""``publish`` for images and indexes: into registries, without what they have already."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import List, Optional, Tuple

from pants.core.goals.publish import (
    PublishFieldSet,
    PublishOutputData,
    PublishPackages,
    PublishProcesses,
    PublishRequest,
)
from pants.engine.addresses import Address
from pants.engine.env_vars import CompleteEnvironmentVars
from pants.engine.fs import Digest
from pants.engine.target import Target, WrappedTargetRequest
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.bases.base import BaseTargetRequest, find_base_target
from layered_image.bases.registry_base import base_repository
from layered_image.bases.target_types import ImageBaseRepositoryField
from layered_image.engine import (
    collect_rules,
    concurrently,
    implicitly,
    resolve_target,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.fields.publishing import (
    ImageRegistriesField,
    ImageRepositoriesField,
    ImageSkipPushField,
)
from layered_image.images.image_index import BuildImageRequest, build_layered_image
from layered_image.program import ProgramRequest, prepare_program
from layered_image.registries.destinations import Destination, find_destinations, placeholders
from layered_image.registries.registries import Registries
from layered_image.registries.settings import RegistrySettingsRequest, read_registry_settings
from layered_image.registries.signing import is_signed, signing_settings
from layered_image.subsystem import LayeredImageSubsystem
from layered_image.supply_chain.attestations import AttestedLayoutRequest, attest_layout
from layered_image.target_types import ImageNameField, LayeredImageBaseField
from strata.errors import StrataError

_CACHE = "strata_registries"
_CACHE_FOLDER = ".strata-registries"


class PublishLayeredImageRequest(PublishRequest):
    pass


@dataclass(frozen=True)
class PublishLayeredImageFieldSet(PublishFieldSet):
    publish_request_type = PublishLayeredImageRequest
    required_fields = (ImageNameField, ImageRegistriesField)

    registries: ImageRegistriesField
    repositories: ImageRepositoriesField
    skip_push: ImageSkipPushField

    def get_output_data(self) -> PublishOutputData:
        return PublishOutputData({"publisher": "layered_image", **super().get_output_data()})


@dataclass(frozen=True)
class PushRequest:
    """One push of an OCI layout's image or index ``digest``, which is what ``address`` builds.

    ``mount_from`` are repositories that may share blobs with it. ``remote`` maps digests of blobs
    that the layout lacks to repositories that have them. All with their registry's host in front.
    ``sign`` has it signed.
    """

    address: Address
    layout: Digest
    digest: str
    destination: Destination
    mount_from: Tuple[str, ...] = ()
    remote: FrozenDict = FrozenDict()
    sign: bool = False


@dataclass(frozen=True)
class Push:
    packages: PublishPackages


def destinations_of(
    target: Target, options: LayeredImageSubsystem, tags: Tuple[str, ...], digest: str
) -> Tuple[Destination, ...]:
    """Raises LayeredImageError for what is wrong in the fields or in options they refer to."""
    try:
        return find_destinations(
            Registries.from_option(options.registries),
            target[ImageRegistriesField].value or (),
            target[ImageRepositoriesField].value or (),
            options.default_repository,
            tags,
            placeholders(
                target.address,
                target[ImageNameField].value or target.address.target_name,
                digest,
            ),
        )
    except StrataError as error:
        raise LayeredImageError(target.address, error, ImageRepositoriesField.alias)


@rule(desc="Prepare a push to a registry", level=LogLevel.DEBUG)
async def prepare_push(
    request: PushRequest, options: LayeredImageSubsystem, environment: CompleteEnvironmentVars
) -> Push:
    destination = request.destination
    names = (destination.repository, *request.mount_from, *request.remote.values())
    settings = await read_registry_settings(RegistrySettingsRequest(names), **implicitly())
    spec = {
        "target": request.address.spec,
        "layout": "layout",
        "digest": request.digest,
        "repository": destination.repository,
        "tags": destination.tags,
        "settings": json.loads(settings.text),
        "locations": _CACHE_FOLDER,
        "mount_from": request.mount_from,
        "remote": dict(request.remote),
        "signing": signing_settings(options) if request.sign else None,
    }
    variables = [*options.registry_env_vars, *(options.signing_env_vars if request.sign else ())]
    program = await prepare_program(
        ProgramRequest(
            "publish",
            json.dumps(spec),
            FrozenDict({"layout": request.layout}),
            FrozenDict(environment.get_subset(variables)),
            caches=FrozenDict({_CACHE: _CACHE_FOLDER}),
        ),
        **implicitly(),
    )
    data = {
        "digest": request.digest,
        "registry": destination.registry.address,
        "repository": destination.repository,
        "reference": f"{destination.repository}@{request.digest}",
        "tags": destination.tags,
        "signed": request.sign,
    }
    return Push(
        PublishPackages(
            names=destination.names,
            process=program.process,
            description=f"{destination.repository}@{request.digest}",
            data=PublishOutputData(data),
        )
    )


@rule(desc="Publish a layered image", level=LogLevel.DEBUG)
async def publish_layered_image(
    request: PublishLayeredImageRequest, options: LayeredImageSubsystem
) -> PublishProcesses:
    field_set = request.field_set
    wrapped = await resolve_target(
        WrappedTargetRequest(field_set.address, description_of_origin="the `publish` goal"),
        **implicitly(),
    )
    target = wrapped.target
    image = await build_layered_image(BuildImageRequest(target), **implicitly())
    tags = tuple(reference.rpartition(":")[2] for reference in image.references)
    found = destinations_of(target, options, tags, image.digest)
    if field_set.skip_push.value or not found:
        return PublishProcesses(
            [_skipped(field_set.address, found, image.references, image.digest)]
        )
    # A base's repository has what this image shares with it, if it was published.
    below: List[Destination] = []
    bases: List[str] = []
    base: Optional[Target] = target if target.has_field(LayeredImageBaseField) else None
    while base is not None and base[LayeredImageBaseField].value is not None:
        resolved = await find_base_target(
            BaseTargetRequest(base, image.images[0].platform), **implicitly()
        )
        if resolved.target.has_field(ImageBaseRepositoryField):
            bases.append(base_repository(resolved.target, options))
        base = resolved.target if resolved.target.has_field(LayeredImageBaseField) else None
        if base is not None:
            below += destinations_of(base, options, (), "")
    mounts = tuple(dict.fromkeys([*(item.repository for item in below), *bases]))
    pushed = [item for item in found if not item.registry.skip_push]
    layout = await attest_layout(AttestedLayoutRequest(target, image.layout), **implicitly())
    pushes = await concurrently(
        prepare_push(
            PushRequest(
                target.address,
                layout.digest,
                image.digest,
                item,
                mounts,
                sign=is_signed(target, item.registry, options),
            ),
            **implicitly(),
        )
        for item in pushed
    )
    skipped = [
        PublishPackages(
            names=item.names,
            description=f"(by `skip_push` on registry @{item.registry.alias})",
            data=PublishOutputData({"digest": image.digest, "repository": item.repository}),
        )
        for item in found
        if item.registry.skip_push
    ]
    return PublishProcesses([*(push.packages for push in pushes), *skipped])


def _skipped(
    address: Address,
    found: Tuple[Destination, ...],
    references: Tuple[str, ...],
    digest: str,
) -> PublishPackages:
    names = tuple(name for item in found for name in item.names) or references
    reason = (
        f"`{ImageSkipPushField.alias}` on {address}"
        if found
        else f"there being no registry: set `{ImageRepositoriesField.alias}` or "
        f"`{ImageRegistriesField.alias}` on {address}, or a default in [layered-images].registries"
    )
    return PublishPackages(
        names=names, description=f"(by {reason})", data=PublishOutputData({"digest": digest})
    )


def rules():
    return [*collect_rules(), *PublishLayeredImageFieldSet.rules()]
