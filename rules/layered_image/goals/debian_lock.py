"""``generate-debian-lockfiles``: locks for ``debian_packages`` targets, resolved by apt."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pants.engine.console import Console
from pants.engine.fs import CreateDigest, Digest, MergeDigests, Workspace
from pants.engine.goal import Goal, GoalSubsystem
from pants.engine.process import ProcessCacheScope
from pants.engine.target import Target, Targets
from pants.util.logging import LogLevel
from pants.util.strutil import softwrap

from layered_image.closure.debian import lock_path
from layered_image.closure.debian_target_types import (
    DebianComponentsField,
    DebianConfigureField,
    DebianLockField,
    DebianPackagesField,
    DebianSuitesField,
    debian_architectures,
)
from layered_image.engine import (
    collect_rules,
    concurrently,
    create_digest,
    goal_rule,
    implicitly,
    merge_digests,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.subsystem import LayeredImageSubsystem


@dataclass(frozen=True)
class GenerateDebianLockRequest:
    target: Target


@dataclass(frozen=True)
class GeneratedDebianLock:
    digest: Digest
    path: str


@rule(desc="Resolve Debian packages", level=LogLevel.DEBUG)
async def generate_debian_lock(
    request: GenerateDebianLockRequest, options: LayeredImageSubsystem
) -> GeneratedDebianLock:
    target = request.target
    path = lock_path(target)
    suites = target[DebianSuitesField].value or ()
    spec = {
        "address": target.address.spec,
        "packages": target[DebianPackagesField].value or (),
        "suites": suites,
        "components": target[DebianComponentsField].value or (),
        "architectures": debian_architectures(target),
        "mirrors": {s: options.debian_mirrors[s] for s in suites if s in options.debian_mirrors},
        "essential": target[DebianConfigureField].value,
        "keyring": None,
        "output": path,
    }
    empty = await create_digest(CreateDigest([]))
    result = await run_strata(
        StrataRequest(
            command="debian-lock",
            spec=json.dumps(spec),
            description=f"Resolve Debian packages for {target.address}",
            input_digest=empty,
            output_files=(path,),
            # What mirrors offer is no input: a lock is resolved anew each time it is asked for.
            cache_scope=ProcessCacheScope.PER_SESSION,
        ),
        **implicitly(),
    )
    if result.error:
        raise LayeredImageError(target.address, result.error, DebianPackagesField.alias)
    return GeneratedDebianLock(result.digest, path)


class GenerateDebianLockfilesSubsystem(GoalSubsystem):
    name = "generate-debian-lockfiles"
    help = softwrap(
        """
        Resolve `debian_packages` targets with apt, with signatures checked, and write their lock
        files: `pants generate-debian-lockfiles app:os`, or `::` for all.
        """
    )


class GenerateDebianLockfiles(Goal):
    subsystem_cls = GenerateDebianLockfilesSubsystem
    environment_behavior = Goal.EnvironmentBehavior.LOCAL_ONLY


@goal_rule
async def generate_debian_lockfiles(
    targets: Targets, console: Console, workspace: Workspace
) -> GenerateDebianLockfiles:
    locks = await concurrently(
        generate_debian_lock(GenerateDebianLockRequest(target), **implicitly())
        for target in targets
        if target.has_field(DebianLockField)
    )
    if not locks:
        console.print_stderr("No debian_packages targets were given: nothing to lock.")
        return GenerateDebianLockfiles(exit_code=0)
    merged = await merge_digests(MergeDigests(lock.digest for lock in locks))
    workspace.write_digest(merged)
    for lock in locks:
        console.print_stderr(f"Wrote {lock.path}")
    return GenerateDebianLockfiles(exit_code=0)


def rules():
    return collect_rules()
