"""The provider for ``debian_packages``: one object per package of the lock."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import ClassVar, List, Tuple

from pants.engine.addresses import Address
from pants.engine.fs import (
    AddPrefix,
    CreateDigest,
    Digest,
    DownloadFile,
    FileDigest,
    GlobMatchErrorBehavior,
    PathGlobs,
)
from pants.engine.process import ProcessCacheScope
from pants.engine.target import Target
from pants.engine.unions import UnionRule
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.debian_target_types import (
    DebianArchitecturesField,
    DebianComponentsField,
    DebianConfigureField,
    DebianLockField,
    DebianPackagesField,
    DebianSuitesField,
    debian_architectures,
)
from layered_image.closure.provider import (
    ProvidedObject,
    ProvidedObjects,
    ProvideObjectsRequest,
    RootEntry,
)
from layered_image.engine import (
    add_prefix,
    collect_rules,
    concurrently,
    create_digest,
    download_file,
    get_digest_contents,
    implicitly,
    path_globs_to_digest,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.subsystem import LayeredImageSubsystem
from strata.closure.debian.lock import DebianLock, LockedPackage, parse_locks, stale_reason
from strata.errors import StrataError
from strata.model import ImageObject
from strata.platforms import Platform, debian_architecture
from strata.supply_chain.facts import Origin

#: Links of a root whose /usr is merged (Debian since 12), to folders below it.
MERGED_USR = FrozenDict({name: f"usr/{name}" for name in ("bin", "lib", "sbin", "lib64")})


@dataclass(frozen=True)
class LoadedLockRequest:
    target: Target


@dataclass(frozen=True)
class LoadedLock:
    """``locks`` are one for each architecture."""

    address: Address
    locks: Tuple[DebianLock, ...]


@dataclass(frozen=True)
class MirrorsRequest:
    suites: Tuple[str, ...]


@dataclass(frozen=True)
class Mirrors:
    by_suite: FrozenDict


@dataclass(frozen=True)
class LockedObjectsRequest:
    """``names`` are packages of ``lock``, which is of the target ``address``."""

    address: Address
    lock: DebianLock
    names: Tuple[str, ...]


@dataclass(frozen=True)
class LockedObjects:
    """``origins`` are by object name."""

    objects: Tuple[ProvidedObject, ...]
    origins: FrozenDict


@dataclass(frozen=True)
class FetchPackageRequest:
    package: LockedPackage
    mirrors: Tuple[str, ...]


@dataclass(frozen=True)
class FetchedPackage:
    """``digest`` holds ``content/<file name>``; ``error`` says why no mirror had it."""

    digest: Digest
    file_name: str
    error: str = ""


def lock_path(target: Target) -> str:
    return os.path.normpath(
        os.path.join(target.address.spec_path, target[DebianLockField].value or "")
    )


@rule(desc="Load a Debian lock", level=LogLevel.DEBUG)
async def load_lock(request: LoadedLockRequest) -> LoadedLock:
    target = request.target
    path = lock_path(target)
    digest = await path_globs_to_digest(
        PathGlobs([path], glob_match_error_behavior=GlobMatchErrorBehavior.ignore)
    )
    contents = await get_digest_contents(digest)
    regenerate = f"run `pants generate-debian-lockfiles {target.address}`"
    if not contents:
        raise LayeredImageError(
            target.address, f"there is no lock file at {path}: {regenerate}", DebianLockField.alias
        )
    try:
        locks = parse_locks(contents[0].content.decode(), path)
    except StrataError as error:
        raise LayeredImageError(target.address, f"{error}; {regenerate}", DebianLockField.alias)
    stale = stale_reason(
        locks,
        target[DebianPackagesField].value or (),
        debian_architectures(target),
        target[DebianSuitesField].value or (),
        target[DebianComponentsField].value or (),
        bool(target[DebianConfigureField].value),
    )
    if stale:
        raise LayeredImageError(
            target.address, f"{path} is out of date: {stale}; {regenerate}", DebianLockField.alias
        )
    return LoadedLock(target.address, locks)


def lock_for(loaded: LoadedLock, platform: Platform) -> DebianLock:
    """What is locked for ``platform``. Raises LayeredImageError if nothing is."""
    by_name = {lock.architecture: lock for lock in loaded.locks}
    name = debian_architecture(by_name, platform)
    if name is None:
        raise LayeredImageError(
            loaded.address,
            f"its packages are for {', '.join(by_name)}, and the image is for {platform}: name "
            "that here too (in Debian's words), and run "
            f"`pants generate-debian-lockfiles {loaded.address}`",
            DebianArchitecturesField.alias,
        )
    return by_name[name]


@rule(desc="Find Debian mirrors", level=LogLevel.DEBUG)
async def find_mirrors(request: MirrorsRequest, options: LayeredImageSubsystem) -> Mirrors:
    configured = {
        suite: tuple(options.debian_mirrors[suite])
        for suite in request.suites
        if suite in options.debian_mirrors
    }
    missing = [suite for suite in request.suites if suite not in configured]
    if not missing:
        return Mirrors(FrozenDict(configured))
    empty = await create_digest(CreateDigest([]))
    result = await run_strata(
        StrataRequest(
            command="debian-mirrors",
            spec=json.dumps({"suites": missing}),
            description="Find Debian mirrors in the apt configuration",
            input_digest=empty,
            output_files=("mirrors.json",),
            # The machine's configuration is no input: ask again whenever Pants starts anew.
            cache_scope=ProcessCacheScope.PER_RESTART_SUCCESSFUL,
        ),
        **implicitly(),
    )
    if result.error:
        raise ValueError(result.error)
    contents = await get_digest_contents(result.digest)
    found = {suite: tuple(urls) for suite, urls in json.loads(contents[0].content).items()}
    return Mirrors(FrozenDict({**configured, **found}))


@rule(desc="Fetch a Debian package", level=LogLevel.DEBUG)
async def fetch_package(request: FetchPackageRequest) -> FetchedPackage:
    package = request.package
    expected = FileDigest(package.sha256, package.size)
    errors = []
    for mirror in request.mirrors:
        url = f"{mirror.rstrip('/')}/{package.path}"
        try:
            digest = await download_file(DownloadFile(url, expected), **implicitly())
        except Exception as error:
            errors.append(f"{url}: {error}")
            continue
        placed = await add_prefix(AddPrefix(digest, "content"))
        return FetchedPackage(placed, url.rpartition("/")[2])
    empty = await create_digest(CreateDigest([]))
    return FetchedPackage(empty, "", "\n".join(errors))


@dataclass(frozen=True)
class ProvideDebianPackagesRequest(ProvideObjectsRequest):
    precedence: ClassVar[int] = 10

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return target.has_field(DebianLockField)


@rule(desc="Fetch the packages of a Debian lock", level=LogLevel.DEBUG)
async def fetch_objects(request: LockedObjectsRequest) -> LockedObjects:
    address = request.address
    packages = [package for package in request.lock.packages if package.name in request.names]
    suites = tuple(sorted({package.suite for package in packages}))
    mirrors = await find_mirrors(MirrorsRequest(suites), **implicitly())
    for suite in suites:
        if not mirrors.by_suite.get(suite):
            raise LayeredImageError(
                address,
                f"no mirror is known for the suite {suite!r}: add it to the machine's apt "
                "configuration, or set [layered-images].debian_mirrors",
            )
    fetched = await concurrently(
        fetch_package(
            FetchPackageRequest(package, tuple(mirrors.by_suite[package.suite])), **implicitly()
        )
        for package in packages
    )
    objects: List[ProvidedObject] = []
    origins = {}
    for package, result in zip(packages, fetched):
        if result.error:
            raise LayeredImageError(
                address,
                f"{package.name} {package.version} cannot be fetched as it was locked:\n"
                f"{result.error}\nIf the mirror no longer has this version, lock again with "
                f"`pants generate-debian-lockfiles {address}`; or name another mirror in "
                "[layered-images].debian_mirrors.",
                DebianLockField.alias,
            )
        item = ImageObject(f"debian:{package.name}", package.version, package.installed_size)
        objects.append(
            ProvidedObject(item, "debian", result.digest, source=f"content/{result.file_name}")
        )
        origins[item.name] = Origin(
            "deb",
            package.name,
            architecture=package.architecture,
            suite=package.suite,
            sha256=package.sha256,
            file_name=result.file_name,
        )
    return LockedObjects(tuple(objects), FrozenDict(origins))


@rule(desc="Find the objects of Debian packages", level=LogLevel.DEBUG)
async def provide_debian_packages(request: ProvideDebianPackagesRequest) -> ProvidedObjects:
    address = request.target.address
    loaded = await load_lock(LoadedLockRequest(request.target), **implicitly())
    lock = lock_for(loaded, request.context.platform)
    names = tuple(package.name for package in lock.packages)
    fetched = await fetch_objects(LockedObjectsRequest(address, lock, names), **implicitly())
    references = {
        f"debian:{package.name}": tuple(f"debian:{name}" for name in package.depends)
        for package in lock.packages
    }
    # The last has the dynamic loader's path in every x86-64 program, and in no other.
    links = [
        link for link in MERGED_USR.items() if link[0] != "lib64" or lock.architecture == "amd64"
    ]
    configured = bool(request.target[DebianConfigureField].value)
    return ProvidedObjects(
        address,
        fetched.objects,
        FrozenDict(references),
        configured=tuple(item.item.name for item in fetched.objects) if configured else (),
        roots=tuple(f"debian:{name}" for name in lock.requested),
        entries=tuple(RootEntry(path, "symlink", 0o777, target=to) for path, to in links),
        origins=fetched.origins,
    )


def rules():
    return [*collect_rules(), UnionRule(ProvideObjectsRequest, ProvideDebianPackagesRequest)]
