"""``generate-lockfiles`` for images: locks of Debian packages and of base images.

Pants' own goal knows resolves by name. Here a target with a lock is a resolve, named by its
address: ``pants generate-lockfiles --resolve=app:os``, and without names all locks are made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from pants.core.goals.generate_lockfiles import (
    GenerateLockfile,
    GenerateLockfileResult,
    KnownUserResolveNames,
    KnownUserResolveNamesRequest,
    RequestedUserResolveNames,
    UserGenerateLockfiles,
)
from pants.engine.target import AllTargets, Target
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from layered_image.bases.registry_base import (
    GenerateBaseLockRequest,
    base_lock_path,
    generate_base_lock,
)
from layered_image.bases.target_types import ImageBaseLockField
from layered_image.closure.debian import lock_path
from layered_image.closure.debian_target_types import DebianLockField
from layered_image.engine import collect_rules, implicitly, rule
from layered_image.goals.debian_lock import GenerateDebianLockRequest, generate_debian_lock


class KnownImageLocksRequest(KnownUserResolveNamesRequest):
    pass


class RequestedImageLocks(RequestedUserResolveNames):
    pass


@dataclass(frozen=True)
class GenerateImageLock(GenerateLockfile):
    target: Target


def _destination(target: Target) -> Optional[str]:
    """Where a target's lock is, or None if it has none."""
    if target.has_field(DebianLockField):
        return lock_path(target)
    if target.has_field(ImageBaseLockField) and target[ImageBaseLockField].value:
        return base_lock_path(target)
    return None


@rule(desc="Find the locks of images", level=LogLevel.DEBUG)
async def find_image_locks(
    request: KnownImageLocksRequest, targets: AllTargets
) -> KnownUserResolveNames:
    names = sorted(target.address.spec for target in targets if _destination(target) is not None)
    return KnownUserResolveNames(
        names=tuple(names),
        option_name="`debian_packages` and `image_base` targets",
        requested_resolve_names_cls=RequestedImageLocks,
    )


@rule(desc="Choose the locks of images", level=LogLevel.DEBUG)
async def choose_image_locks(
    requested: RequestedImageLocks, targets: AllTargets
) -> UserGenerateLockfiles:
    wanted = set(requested)
    chosen = [(target, _destination(target)) for target in targets if target.address.spec in wanted]
    return UserGenerateLockfiles(
        GenerateImageLock(
            resolve_name=target.address.spec, lockfile_dest=path, diff=False, target=target
        )
        for target, path in chosen
        if path is not None
    )


@rule(desc="Make the lock of an image's packages or base", level=LogLevel.DEBUG)
async def generate_image_lock(request: GenerateImageLock) -> GenerateLockfileResult:
    target = request.target
    if target.has_field(DebianLockField):
        packages = await generate_debian_lock(GenerateDebianLockRequest(target), **implicitly())
        return GenerateLockfileResult(packages.digest, request.resolve_name, packages.path)
    base = await generate_base_lock(GenerateBaseLockRequest(target), **implicitly())
    return GenerateLockfileResult(base.digest, request.resolve_name, base.path)


def rules():
    return [
        *collect_rules(),
        UnionRule(KnownUserResolveNamesRequest, KnownImageLocksRequest),
        UnionRule(RequestedUserResolveNames, RequestedImageLocks),
        UnionRule(GenerateLockfile, GenerateImageLock),
    ]
