"""Providers for helpers from Debian packages: certificates, ``/bin/sh`` and ``/usr/bin/env``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Tuple

from pants.engine.addresses import Address, Addresses, UnparsedAddressInputs
from pants.engine.target import Target
from pants.engine.unions import UnionRule
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.debian import (
    LoadedLock,
    LoadedLockRequest,
    LockedObjectsRequest,
    fetch_objects,
    load_lock,
    lock_for,
)
from layered_image.closure.debian_helper_target_types import (
    ImageBinShPackagesField,
    ImageCertificatesPackagesField,
    ImageUsrBinEnvPackagesField,
)
from layered_image.closure.debian_target_types import DebianLockField
from layered_image.closure.provider import (
    ProvidedObject,
    ProvidedObjects,
    ProvideObjectsRequest,
    RootEntry,
)
from layered_image.engine import (
    collect_rules,
    implicitly,
    resolve_targets,
    resolve_unparsed_address_inputs,
    rule,
)
from layered_image.errors import LayeredImageError
from strata.model import ImageObject

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
#: Where programs of other distributions look for it.
_BUNDLE_LINKS = (
    ("etc/ssl/certs/ca-bundle.crt", "ca-certificates.crt"),
    ("etc/pki/tls/certs/ca-bundle.crt", BUNDLE),
)


@dataclass(frozen=True)
class NamedLockRequest:
    """The lock of the ``debian_packages`` target that the field ``alias`` of ``owner`` names."""

    owner: Address
    alias: str
    name: str


@rule(desc="Find a Debian lock", level=LogLevel.DEBUG)
async def load_named_lock(request: NamedLockRequest) -> LoadedLock:
    addresses = await resolve_unparsed_address_inputs(
        UnparsedAddressInputs(
            [request.name],
            owning_address=request.owner,
            description_of_origin=f"the `{request.alias}` field of {request.owner}",
        ),
        **implicitly(),
    )
    targets = await resolve_targets(**implicitly({addresses: Addresses}))
    if len(targets) != 1 or not targets[0].has_field(DebianLockField):
        raise LayeredImageError(
            request.owner,
            f"{request.name} is no debian_packages target; name one",
            request.alias,
        )
    return await load_lock(LoadedLockRequest(targets[0]), **implicitly())


@dataclass(frozen=True)
class ProvideCertificatesRequest(ProvideObjectsRequest):
    precedence: ClassVar[int] = 10

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return target.has_field(ImageCertificatesPackagesField)

    def known_names(self) -> Tuple[str, ...]:
        return ("certificates:bundle",)


@rule(desc="Find the certificate bundle", level=LogLevel.DEBUG)
async def provide_certificates(request: ProvideCertificatesRequest) -> ProvidedObjects:
    address = request.target.address
    field = request.target[ImageCertificatesPackagesField]
    name = field.value or ""
    loaded = await load_named_lock(NamedLockRequest(address, field.alias, name), **implicitly())
    lock = lock_for(loaded, request.context.platform)
    package = next((p for p in lock.packages if p.name == "ca-certificates"), None)
    if package is None:
        raise _missing(address, field.alias, name, ("ca-certificates",))
    fetched = await fetch_objects(
        LockedObjectsRequest(loaded.address, lock, (package.name,)), **implicitly()
    )
    (held,) = fetched.objects
    (object_name,) = request.known_names()
    item = ImageObject(object_name, package.version, package.installed_size // 2)
    return ProvidedObjects(
        address,
        (ProvidedObject(item, "certificates", held.digest, source=held.source),),
        roots=(item.name,),
        entries=tuple(RootEntry(path, "symlink", 0o777, target=to) for path, to in _BUNDLE_LINKS),
        path=BUNDLE,
        origins=FrozenDict(
            {item.name: replace(fetched.origins[held.item.name], address=address.spec)}
        ),
    )


@dataclass(frozen=True)
class ProvideProgramRequest(ProvideObjectsRequest):
    precedence: ClassVar[int] = 10

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return any(target.has_field(field) for field in _PROGRAMS)

    def known_names(self) -> Tuple[str, ...]:
        return ()


#: Where a program has to be, the package that brings it there, and those that have it elsewhere,
#: with what a link to it says.
_PROGRAMS = {
    ImageBinShPackagesField: (
        "/bin/sh",
        "dash",
        (("bash", "bash"), ("busybox-static", "busybox"), ("busybox", "busybox")),
    ),
    ImageUsrBinEnvPackagesField: (
        "/usr/bin/env",
        "coreutils",
        (("busybox-static", "busybox"), ("busybox", "busybox")),
    ),
}


@rule(desc="Find a program that scripts need", level=LogLevel.DEBUG)
async def provide_program(request: ProvideProgramRequest) -> ProvidedObjects:
    target = request.target
    field = next(field for field in _PROGRAMS if target.has_field(field))
    path, own, others = _PROGRAMS[field]
    name = target[field].value or ""
    loaded = await load_named_lock(
        NamedLockRequest(target.address, field.alias, name), **implicitly()
    )
    lock = lock_for(loaded, request.context.platform)
    locked = {package.name for package in lock.packages}
    if own in locked:
        return ProvidedObjects(target.address, path=path)
    found = next((link for package, link in others if package in locked), None)
    if found is None:
        choices = (own, *(package for package, _ in others))
        raise _missing(target.address, field.alias, name, choices)
    # Debian's programs all lie in /usr/bin, as /usr is merged.
    entry = RootEntry(f"usr/bin/{path.rpartition('/')[2]}", "symlink", 0o777, target=found)
    return ProvidedObjects(target.address, entries=(entry,), path=path)


def _missing(
    address: Address, alias: str, name: str, choices: Tuple[str, ...]
) -> LayeredImageError:
    return LayeredImageError(
        address,
        f"{name} does not contain {' or '.join(choices)}: add it to its `packages` and run "
        f"`pants generate-debian-lockfiles {name}`",
        alias,
    )


def rules():
    return [
        *collect_rules(),
        UnionRule(ProvideObjectsRequest, ProvideCertificatesRequest),
        UnionRule(ProvideObjectsRequest, ProvideProgramRequest),
    ]
