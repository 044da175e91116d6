"""The provider for everything else that ``package`` can build, and for loose files.

What a target packages lies in the store and is linked below the applications folder, under the
target's name. ``files``, ``resources`` and shell scripts lie at the paths that they have in the
repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Tuple

from pants.backend.shell.target_types import ShellSourceField
from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.core.target_types import FileSourceField, ResourceSourceField
from pants.core.util_rules.source_files import SourceFilesRequest
from pants.engine.target import FieldSetsPerTargetRequest, SourcesField, Target
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from layered_image.closure.manifest import DescribeRequest, describe_content, moved
from layered_image.closure.provider import (
    LinkFarm,
    ProvidedObject,
    ProvidedObjects,
    ProvideObjectsRequest,
)
from layered_image.engine import (
    collect_rules,
    determine_source_files,
    environment_aware_package,
    find_valid_field_sets,
    get_digest_entries,
    implicitly,
    rule,
)
from strata.model import ImageObject

_LOOSE = (FileSourceField, ResourceSourceField, ShellSourceField)


@dataclass(frozen=True)
class ProvideSourceRequest(ProvideObjectsRequest):
    precedence: ClassVar[int] = 20

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return any(target.has_field(field) for field in _LOOSE)


@rule(desc="Find a loose file", level=LogLevel.DEBUG)
async def provide_source(request: ProvideSourceRequest) -> ProvidedObjects:
    address = request.target.address
    sources = await determine_source_files(SourceFilesRequest([request.target[SourcesField]]))
    entries = await get_digest_entries(sources.snapshot.digest)
    content = await describe_content(DescribeRequest(tuple(entries)), **implicitly())
    path = sources.snapshot.files[0]
    item = ImageObject(f"file:{path}", "", content.size, first_party=True)
    return ProvidedObjects(
        address,
        (ProvidedObject(item, "tree", content.digest),),
        roots=(item.name,),
        path=f"/{path}",
    )


@dataclass(frozen=True)
class ProvidePackageRequest(ProvideObjectsRequest):
    precedence: ClassVar[int] = 90

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return packageable

    def known_names(self) -> Tuple[str, ...]:
        return (f"package:{self.target.address.target_name}",)


@rule(desc="Find a packaged artifact", level=LogLevel.DEBUG)
async def provide_package(request: ProvidePackageRequest) -> ProvidedObjects:
    address = request.target.address
    field_sets = await find_valid_field_sets(
        FieldSetsPerTargetRequest(PackageFieldSet, [request.target]), **implicitly()
    )
    built = await environment_aware_package(
        EnvironmentAwarePackageRequest(field_sets.field_sets[0])
    )
    entries = await get_digest_entries(built.digest)
    # A packaged artifact's path has dots where its folder has slashes.
    folder = address.spec_path.replace("/", ".") + "/"
    placed = [
        moved(entry, entry.path[len(folder) :] if entry.path.startswith(folder) else entry.path)
        for entry in entries
    ]
    content = await describe_content(DescribeRequest(tuple(placed)), **implicitly())
    name = address.target_name
    (object_name,) = request.known_names()
    item = ImageObject(object_name, "", content.size, first_party=True)
    mount = f"{request.context.applications.strip('/')}/{name}"
    store = request.context.store.strip("/")
    return ProvidedObjects(
        address,
        (ProvidedObject(item, "tree", content.digest, root=f"{store}/package-{name}"),),
        roots=(item.name,),
        farms=(LinkFarm(mount, (item.name,)),),
        path=f"/{mount}/{placed[0].path}" if len(placed) == 1 else f"/{mount}",
    )


def rules():
    return [
        *collect_rules(),
        UnionRule(ProvideObjectsRequest, ProvideSourceRequest),
        UnionRule(ProvideObjectsRequest, ProvidePackageRequest),
    ]
