"""Base images of registries: their locks, and their layers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from pants.engine.addresses import Address
from pants.engine.env_vars import CompleteEnvironmentVars
from pants.engine.fs import (
    CreateDigest,
    Digest,
    GlobMatchErrorBehavior,
    MergeDigests,
    PathGlobs,
)
from pants.engine.process import ProcessCacheScope
from pants.engine.target import Target
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.bases.base import LoadedBase
from layered_image.bases.target_types import (
    ImageBaseDigestField,
    ImageBaseLockField,
    ImageBaseRepositoryField,
    ImageBaseTagField,
)
from layered_image.engine import (
    LOCAL_SUCCESSFUL,
    collect_rules,
    concurrently,
    create_digest,
    get_digest_contents,
    implicitly,
    merge_digests,
    path_globs_to_digest,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.images.layers import blob_entry
from layered_image.registries.registries import Registries
from layered_image.registries.settings import RegistrySettingsRequest, read_registry_settings
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.subsystem import LayeredImageSubsystem
from layered_image.target_types import LayeredImageBaseField
from strata.errors import StrataError
from strata.oci.base import read_layout
from strata.oci.base_lock import BaseLock, parse_base_lock, stale_reason
from strata.platforms import Platform
from strata.supply_chain.facts import BaseOrigin

_LOCK = "base.lock"
_CACHE = "strata_registry"
_CACHE_FOLDER = ".strata-registry"


@dataclass(frozen=True)
class GenerateBaseLockRequest:
    target: Target


@dataclass(frozen=True)
class GeneratedBaseLock:
    digest: Digest
    path: str


@dataclass(frozen=True)
class BaseLockRequest:
    target: Target


@dataclass(frozen=True)
class LoadedBaseLock:
    """``text`` is the lock's; ``origin`` says where it comes from."""

    text: str
    origin: str

    @property
    def lock(self) -> BaseLock:
        """Raises StrataError, which names ``origin``."""
        return parse_base_lock(self.text, self.origin)


@dataclass(frozen=True)
class FetchBlobRequest:
    """``repository`` has its registry's host in front; ``size`` is in bytes."""

    repository: str
    digest: str
    size: int


@dataclass(frozen=True)
class FetchedBlob:
    """``digest`` holds the blob at its place in an image layout. With an ``error`` it is empty."""

    digest: Digest
    error: str = ""


@dataclass(frozen=True)
class RegistryBaseRequest:
    """``image`` is the address of the image that has ``target`` as its base."""

    image: Address
    target: Target
    platform: Platform


def base_lock_path(target: Target) -> str:
    return os.path.normpath(
        os.path.join(target.address.spec_path, target[ImageBaseLockField].value or "")
    )


def base_repository(target: Target, options: LayeredImageSubsystem) -> str:
    """The target's repository, with the address of a registry that it names by its alias."""
    name = target[ImageBaseRepositoryField].value or ""
    if not name.startswith("@"):
        return name
    alias, _, path = name.partition("/")
    try:
        return f"{Registries.from_option(options.registries).find(alias).address}/{path}"
    except StrataError as error:
        raise LayeredImageError(target.address, error, ImageBaseRepositoryField.alias)


@rule(desc="Lock a base image", level=LogLevel.DEBUG)
async def generate_base_lock(
    request: GenerateBaseLockRequest,
    options: LayeredImageSubsystem,
    environment: CompleteEnvironmentVars,
) -> GeneratedBaseLock:
    target = request.target
    path = base_lock_path(target) if target[ImageBaseLockField].value else _LOCK
    digest = target[ImageBaseDigestField].value or ""
    repository = base_repository(target, options)
    settings = await read_registry_settings(RegistrySettingsRequest((repository,)), **implicitly())
    empty = await create_digest(CreateDigest([]))
    spec = {
        "address": target.address.spec,
        "repository": repository,
        "tag": target[ImageBaseTagField].value or "",
        "digest": digest,
        "settings": json.loads(settings.text),
        "output": path,
    }
    result = await run_strata(
        StrataRequest(
            command="base-lock",
            spec=json.dumps(spec, sort_keys=True),
            description=f"Ask for {target.address} in {repository}",
            input_digest=empty,
            output_files=(path,),
            environment=FrozenDict(environment.get_subset(options.registry_env_vars)),
            # What a digest stands for is always the same; what a tag does is asked anew.
            cache_scope=(ProcessCacheScope.SUCCESSFUL if digest else ProcessCacheScope.PER_SESSION),
        ),
        **implicitly(),
    )
    if result.error:
        field = ImageBaseDigestField.alias if digest else ImageBaseTagField.alias
        raise LayeredImageError(target.address, result.error, field)
    return GeneratedBaseLock(result.digest, path)


@rule(desc="Load the lock of a base image", level=LogLevel.DEBUG)
async def load_base_lock(
    request: BaseLockRequest, options: LayeredImageSubsystem
) -> LoadedBaseLock:
    target = request.target
    if not target[ImageBaseLockField].value:
        made = await generate_base_lock(GenerateBaseLockRequest(target), **implicitly())
        found = await get_digest_contents(made.digest)
        return LoadedBaseLock(found[0].content.decode(), str(target.address))
    path = base_lock_path(target)
    digest = await path_globs_to_digest(
        PathGlobs([path], glob_match_error_behavior=GlobMatchErrorBehavior.ignore)
    )
    contents = await get_digest_contents(digest)
    regenerate = f"run `pants generate-lockfiles --resolve={target.address.spec}`"
    field = ImageBaseLockField.alias
    if not contents:
        raise LayeredImageError(
            target.address, f"there is no lock file at {path}: {regenerate}", field
        )
    loaded = LoadedBaseLock(contents[0].content.decode(errors="replace"), path)
    try:
        stale = stale_reason(
            loaded.lock,
            base_repository(target, options),
            target[ImageBaseTagField].value or "",
            target[ImageBaseDigestField].value or "",
        )
    except StrataError as error:
        raise LayeredImageError(target.address, f"{error}; {regenerate}", field)
    if stale:
        raise LayeredImageError(
            target.address, f"{path} is out of date: {stale}; {regenerate}", field
        )
    return loaded


@rule(desc="Fetch a layer from a registry", level=LogLevel.DEBUG)
async def fetch_blob(
    request: FetchBlobRequest, options: LayeredImageSubsystem, environment: CompleteEnvironmentVars
) -> FetchedBlob:
    settings = await read_registry_settings(
        RegistrySettingsRequest((request.repository,)), **implicitly()
    )
    spec = {
        "repository": request.repository,
        "digest": request.digest,
        "size": request.size,
        "settings": json.loads(settings.text),
        "cache": _CACHE_FOLDER,
        "output": "blob",
    }
    empty = await create_digest(CreateDigest([]))
    result = await run_strata(
        StrataRequest(
            command="fetch-blob",
            spec=json.dumps(spec, sort_keys=True),
            description=f"Fetch {request.digest[:19]} from {request.repository}",
            input_digest=empty,
            output_files=("blob",),
            caches=FrozenDict({_CACHE: _CACHE_FOLDER}),
            environment=FrozenDict(environment.get_subset(options.registry_env_vars)),
            # A registry has it already: no cache server needs to keep it too.
            cache_scope=LOCAL_SUCCESSFUL,
        ),
        **implicitly(),
    )
    if result.error:
        return FetchedBlob(empty, result.error)
    placed = json.dumps({"digest": request.digest, "size": request.size})
    return FetchedBlob(await create_digest(CreateDigest([blob_entry(placed)])))


@rule(desc="Load a base image of a registry", level=LogLevel.DEBUG)
async def load_registry_base(request: RegistryBaseRequest) -> LoadedBase:
    loaded = await load_base_lock(BaseLockRequest(request.target), **implicitly())
    try:
        lock = loaded.lock
        base = read_layout(lock.read, request.platform, loaded.origin)
    except StrataError as error:
        raise LayeredImageError(request.image, error, LayeredImageBaseField.alias)
    blobs = await concurrently(
        fetch_blob(FetchBlobRequest(lock.repository, layer.digest, layer.size), **implicitly())
        for layer in base.layers
    )
    for blob in blobs:
        if blob.error:
            raise LayeredImageError(request.image, blob.error, LayeredImageBaseField.alias)
    layers = await merge_digests(MergeDigests(blob.digest for blob in blobs))
    origin = BaseOrigin(
        request.target.address.spec,
        repository=lock.repository,
        digest=lock.digest,
        layers=tuple(layer.digest for layer in base.layers),
    )
    metadata = {
        "config": base.config,
        "layers": [vars(layer) for layer in base.layers],
        "bases": [origin.to_json()],
    }
    return LoadedBase(layers, json.dumps(metadata))


def rules():
    return collect_rules()
