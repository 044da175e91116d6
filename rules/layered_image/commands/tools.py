"""Targets as programs that an image's commands may call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.core.target_types import FileSourceField, ResourceSourceField
from pants.core.util_rules.source_files import SourceFilesRequest
from pants.engine.addresses import Addresses, UnparsedAddressInputs
from pants.engine.fs import CreateDigest, Digest, FileEntry
from pants.engine.target import FieldSetsPerTargetRequest, SourcesField, Target
from pants.util.logging import LogLevel

from layered_image.engine import (
    collect_rules,
    create_digest,
    determine_source_files,
    environment_aware_package,
    find_valid_field_sets,
    get_digest_entries,
    implicitly,
    resolve_targets,
    resolve_unparsed_address_inputs,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.fields.commands import LayeredImageCommandToolsField

_TOOLS = "tools"


@dataclass(frozen=True)
class PackagedToolRequest:
    image: Target
    text: str


@dataclass(frozen=True)
class PackagedTool:
    """``digest`` holds the program at ``path``."""

    name: str
    digest: Digest

    @property
    def path(self) -> str:
        return f"{_TOOLS}/{self.name}"


@rule(desc="Package a tool for an image's commands", level=LogLevel.DEBUG)
async def package_tool(request: PackagedToolRequest) -> PackagedTool:
    image = request.image
    field = LayeredImageCommandToolsField.alias
    addresses = await resolve_unparsed_address_inputs(
        UnparsedAddressInputs(
            [request.text],
            owning_address=image.address,
            description_of_origin=f"the `{field}` field of {image.address}",
        ),
        **implicitly(),
    )
    targets = await resolve_targets(**implicitly({addresses: Addresses}))
    if len(targets) != 1:
        raise LayeredImageError(
            image.address, f"{request.text} stands for {len(targets)} targets; name one", field
        )
    target = targets[0]
    if target.has_field(FileSourceField) or target.has_field(ResourceSourceField):
        sources = await determine_source_files(SourceFilesRequest([target[SourcesField]]))
        digest = sources.snapshot.digest
    else:
        packageable = await find_valid_field_sets(
            FieldSetsPerTargetRequest(PackageFieldSet, [target]), **implicitly()
        )
        if not packageable.field_sets:
            raise LayeredImageError(
                image.address,
                f"{target.address} (a `{target.alias}`) is no tool: name a target that `package` "
                "can build, a `file`, or a program of this machine by its bare name",
                field,
            )
        built = await environment_aware_package(
            EnvironmentAwarePackageRequest(packageable.field_sets[0])
        )
        digest = built.digest
    entries = await get_digest_entries(digest)
    files = [entry for entry in entries if isinstance(entry, FileEntry)]
    if len(files) != 1:
        raise LayeredImageError(
            image.address,
            f"{target.address} is {len(files)} files, and a tool is one program",
            field,
        )
    name = target.address.target_name
    if target.address.is_generated_target or target.has_field(FileSourceField):
        name = PurePath(files[0].path).name
    placed = FileEntry(f"{_TOOLS}/{name}", files[0].file_digest, is_executable=True)
    return PackagedTool(name, await create_digest(CreateDigest([placed])))


def is_address(name: str) -> bool:
    """Whether an item of ``command_tools`` is a target, and not a program of this machine."""
    return ":" in name or "/" in name


def rules():
    return collect_rules()
