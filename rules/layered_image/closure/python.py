"""The provider for ``pex_binary``: wheels, first-party code and an application directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Dict, List, Mapping, Set, Tuple

from packaging.requirements import Requirement
from pants.backend.python.goals.package_pex_binary import PexBinaryFieldSet
from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import PythonResolveField
from pants.engine.addresses import Address
from pants.engine.target import Target
from pants.engine.unions import UnionRule
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.provider import (
    ImageContext,
    Interpreter,
    ProvidedApplication,
    ProvidedObject,
    ProvidedObjects,
    ProvideObjectsRequest,
)
from layered_image.closure.python_sources import (
    FirstPartyObjects,
    FirstPartyRequest,
    find_first_party,
)
from layered_image.closure.python_sources import rules as source_rules
from layered_image.closure.python_wheels import PexWheels, PexWheelsRequest, find_wheels
from layered_image.closure.python_wheels import rules as wheel_rules
from layered_image.engine import collect_rules, implicitly, rule
from layered_image.errors import LayeredImageError
from strata.closure.python.metadata import (
    PythonPlatform,
    check_constraints,
    check_wheel,
    wheel_references,
)
from strata.closure.python.wheel import normalized, site_packages
from strata.errors import StrataError
from strata.model import ImageObject
from strata.report.closure import uppermost
from strata.supply_chain.facts import Origin


@dataclass(frozen=True)
class ProvidePexBinaryRequest(ProvideObjectsRequest):
    precedence: ClassVar[int] = 10

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return PexBinaryFieldSet.is_applicable(target)


@rule(desc="Find the objects of a pex_binary", level=LogLevel.DEBUG)
async def provide_pex_binary(
    request: ProvidePexBinaryRequest, python_setup: PythonSetup
) -> ProvidedObjects:
    address = request.target.address
    interpreter = request.context.interpreter
    if interpreter is None:
        raise LayeredImageError(
            address,
            "a pex_binary needs a Python interpreter in the image, and its contents have none: "
            "add a debian_packages target with python3.N-minimal (and libpython3.N-stdlib), or "
            "say with `interpreter` where the base image has one",
        )
    field_set = PexBinaryFieldSet.create(request.target)
    platform = PythonPlatform(
        interpreter.version, request.context.platform.architecture, request.context.libc
    )
    pex = await find_wheels(PexWheelsRequest(field_set, platform), **implicitly())
    first_party = await find_first_party(FirstPartyRequest(address, frozenset()), **implicitly())
    local = {normalized(name): spec for name, spec in first_party.distributions.items()}
    if local:
        provided = frozenset(
            path for wheel in pex.wheels if wheel.metadata.name in local for path in wheel.paths
        )
        first_party = await find_first_party(FirstPartyRequest(address, provided), **implicitly())

    try:
        for spec, constraints in first_party.constraints.items():
            _check(spec, constraints or python_setup.interpreter_constraints, platform)
        for wheel in pex.wheels:
            check_wheel(wheel.file_name, wheel.metadata, platform)
        between = wheel_references(
            [wheel.metadata for wheel in pex.wheels], first_party.requirements, platform
        )
    except StrataError as error:
        raise LayeredImageError(address, error)

    objects, references = _objects(pex, first_party, between, local, interpreter, request.context)
    name = address.target_name
    entry_point = f"{pex.module}:{pex.function}" if pex.function else pex.module
    path = f"{request.context.applications.strip('/')}/{name}"
    starts = bool(entry_point or pex.script)
    return ProvidedObjects(
        address,
        tuple(objects),
        FrozenDict({key: tuple(sorted(value)) for key, value in references.items()}),
        roots=tuple(item.item.name for item in objects),
        requested=uppermost((item.item.name for item in objects), references),
        named=_named(pex, first_party),
        application=ProvidedApplication(
            path,
            tuple(item.item.name for item in objects),
            name if starts else "",
            entry_point,
            pex.script,
            tuple(field_set.args.value or ()),
            FrozenDict(field_set.env.value or {}),
        ),
        path=f"/{path}/bin/{name if starts else 'python'}",
        origins=_origins(pex, first_party, local, _lock_path(request.target, python_setup)),
    )


def _lock_path(target: Target, python_setup: PythonSetup) -> str:
    """Empty where Pants resolves without a lock."""
    if not python_setup.enable_resolves or not target.has_field(PythonResolveField):
        return ""
    resolve = target[PythonResolveField].normalized_value(python_setup)
    return python_setup.resolves.get(resolve, "")


def _origins(
    pex: PexWheels, first_party: FirstPartyObjects, local: Mapping[str, str], lock: str
) -> FrozenDict:
    found: Dict[str, Origin] = {}
    for wheel in pex.wheels:
        name = wheel.metadata.name
        found[f"python:{name}"] = (
            Origin(
                name=name,
                file_name=wheel.file_name,
                address=local[name],
                licenses=wheel.metadata.licenses,
            )
            if name in local
            else Origin(
                "pypi",
                name,
                file_name=wheel.file_name,
                lock=lock,
                licenses=wheel.metadata.licenses,
            )
        )
    for address, source in first_party.owners.items():
        # Targets of equal names below different source roots make one object.
        held = found.get(source)
        specs = {address.spec, *(held.address.split(", ") if held else ())}
        found[source] = Origin(address=", ".join(sorted(specs)))
    return FrozenDict(found)


def _named(pex: PexWheels, first_party: FirstPartyObjects) -> FrozenDict:
    wheels = {wheel.metadata.name for wheel in pex.wheels}
    names: Dict[Address, Tuple[str, ...]] = {
        address: (name,) for address, name in first_party.owners.items()
    }
    for address, texts in first_party.asked.items():
        needed = {normalized(Requirement(text).name) for text in texts}
        names[address] = tuple(sorted(f"python:{name}" for name in needed & wheels))
    return FrozenDict(names)


def _check(spec: str, constraints: Tuple[str, ...], platform: PythonPlatform) -> None:
    try:
        check_constraints(constraints, platform)
    except StrataError as error:
        raise StrataError(f"interpreter_constraints of {spec}: {error}") from None


def _objects(
    pex: PexWheels,
    first_party: FirstPartyObjects,
    between: Dict[str, Tuple[str, ...]],
    local: Mapping[str, str],
    interpreter: Interpreter,
    context: ImageContext,
) -> Tuple[List[ProvidedObject], Dict[str, Set[str]]]:
    store = context.store.strip("/")
    objects: List[ProvidedObject] = []
    references: Dict[str, Set[str]] = {}
    wheels = {wheel.metadata.name for wheel in pex.wheels}
    for wheel in pex.wheels:
        metadata = wheel.metadata
        item = ImageObject(
            f"python:{metadata.name}", metadata.version, wheel.content.size, metadata.name in local
        )
        root = f"{store}/{metadata.name}-{metadata.version}"
        objects.append(ProvidedObject(item, "wheel", wheel.content.digest, root=root))
        references[item.name] = {f"python:{name}" for name in between[metadata.name]}
    for source in first_party.objects:
        item = ImageObject(source.name, "", source.content.size, first_party=True)
        folder = source.name.replace(":", "-").replace("/", ".")
        objects.append(
            ProvidedObject(
                item,
                "tree",
                source.content.digest,
                root=f"{store}/{folder}",
                prefix=site_packages(interpreter.minor),
                python_sources=True,
            )
        )
        needed = {normalized(Requirement(text).name) for text in source.requirements}
        references[item.name] = {f"python:{name}" for name in needed & wheels}
        references[item.name].update(source.references)
    if interpreter.object_name:
        for targets in references.values():
            targets.add(interpreter.object_name)
    return objects, references


def rules():
    return [
        *collect_rules(),
        *source_rules(),
        *wheel_rules(),
        UnionRule(ProvideObjectsRequest, ProvidePexBinaryRequest),
    ]
