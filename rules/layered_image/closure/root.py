"""Providers for the helper targets: folders, links, users and placed files."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, List, Tuple

from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.core.util_rules.source_files import SourceFilesRequest
from pants.engine.addresses import Address, Addresses
from pants.engine.target import FieldSetsPerTargetRequest, SourcesField, Target
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from layered_image.closure.manifest import DescribeRequest, Entry, describe_content, moved
from layered_image.closure.provider import (
    ProvidedObject,
    ProvidedObjects,
    ProvideObjectsRequest,
    RootEntry,
)
from layered_image.closure.root_target_types import (
    ImageFilesDependenciesField,
    ImageFilesDestinationField,
    ImageFilesStripPrefixField,
    ImageModeField,
    ImageOwnerField,
    ImagePathField,
    ImageSymlinkTargetField,
)
from layered_image.closure.users_target_types import (
    ImageGroupsField,
    ImageShadowField,
    ImageUsersField,
)
from layered_image.engine import (
    collect_rules,
    concurrently,
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
from strata.closure.users import users_files
from strata.errors import StrataError
from strata.model import ImageObject


@dataclass(frozen=True)
class ProvideRootEntryRequest(ProvideObjectsRequest):
    """Targets that are entries of the customisation layer and nothing else."""

    precedence: ClassVar[int] = 10

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return target.has_field(ImagePathField) or target.has_field(ImageUsersField)

    def known_names(self) -> Tuple[str, ...]:
        return ()


@rule(desc="Find declared entries", level=LogLevel.DEBUG)
async def provide_root_entry(request: ProvideRootEntryRequest) -> ProvidedObjects:
    target = request.target
    if target.has_field(ImageUsersField):
        try:
            files = users_files(
                target[ImageUsersField].value,
                target[ImageGroupsField].value,
                bool(target[ImageShadowField].value),
            )
        except StrataError as error:
            raise LayeredImageError(target.address, error, ImageUsersField.alias)
        entries = tuple(
            RootEntry(path, "file", 0o600 if "shadow" in path else 0o644, content=text)
            for path, text in files.items()
        )
        return ProvidedObjects(target.address, entries=entries)
    path = target[ImagePathField].value or ""
    if target.has_field(ImageSymlinkTargetField):
        to = target[ImageSymlinkTargetField].value or ""
        entry = RootEntry(path.lstrip("/"), "symlink", 0o777, target=to)
    else:
        uid, _, gid = (target[ImageOwnerField].value or "").partition(":")
        mode = int(target.get(ImageModeField).value or "0755", 8)
        entry = RootEntry(path.lstrip("/"), "directory", mode, int(uid), int(gid))
    return ProvidedObjects(target.address, entries=(entry,), path=path)


@dataclass(frozen=True)
class ProvideFilesRequest(ProvideObjectsRequest):
    precedence: ClassVar[int] = 10

    @classmethod
    def is_applicable(cls, target: Target, packageable: bool) -> bool:
        return target.has_field(ImageFilesDependenciesField)

    def known_names(self) -> Tuple[str, ...]:
        return (f"files:{self.target.address.target_name}",)


@rule(desc="Find placed files", level=LogLevel.DEBUG)
async def provide_files(request: ProvideFilesRequest) -> ProvidedObjects:
    target = request.target
    address = target.address
    addresses = await resolve_unparsed_address_inputs(
        target[ImageFilesDependenciesField].to_unparsed_address_inputs(), **implicitly()
    )
    targets = await resolve_targets(**implicitly({addresses: Addresses}))
    packageable = await find_valid_field_sets(
        FieldSetsPerTargetRequest(PackageFieldSet, targets), **implicitly()
    )
    with_sources = [item for item in targets if item.has_field(SourcesField)]
    built_from = [
        (item, sets[0])
        for item, sets in zip(targets, packageable.collection)
        if sets and not item.has_field(SourcesField)
    ]
    for item, sets in zip(targets, packageable.collection):
        if not sets and not item.has_field(SourcesField):
            raise LayeredImageError(
                address,
                f"{item.address} has no sources and cannot be packaged; name `files`, `resources` "
                "or a target that `package` can build",
                ImageFilesDependenciesField.alias,
            )
    sources = await concurrently(
        determine_source_files(SourceFilesRequest([item[SourcesField]])) for item in with_sources
    )
    built = await concurrently(
        environment_aware_package(EnvironmentAwarePackageRequest(field_set))
        for _, field_set in built_from
    )
    owners = [*with_sources, *(item for item, _ in built_from)]
    digests = [*(s.snapshot.digest for s in sources), *(b.digest for b in built)]
    found = await concurrently(get_digest_entries(digest) for digest in digests)

    destination = (target[ImageFilesDestinationField].value or "/").strip("/")
    strip = (target[ImageFilesStripPrefixField].value or "").strip("/")
    placed: List[Entry] = []
    for owner, entries in zip(owners, found):
        for entry in entries:
            base = strip or owner.address.spec_path
            path = entry.path
            if base and path.startswith(f"{base}/"):
                path = path[len(base) + 1 :]
            elif base and owner.address.spec_path:
                # A packaged artifact's path has dots where its folder has slashes.
                dotted = owner.address.spec_path.replace("/", ".")
                path = path[len(dotted) + 1 :] if path.startswith(f"{dotted}/") else path
            placed.append(moved(entry, os.path.join(destination, path)))
    content = await describe_content(DescribeRequest(_distinct(placed, address)), **implicitly())
    (name,) = request.known_names()
    item = ImageObject(name, "", content.size, first_party=True)
    return ProvidedObjects(
        address,
        (ProvidedObject(item, "tree", content.digest),),
        roots=(item.name,),
        path=f"/{placed[0].path}" if len(placed) == 1 else f"/{destination}",
    )


def _distinct(entries: List[Entry], address: Address) -> Tuple[Entry, ...]:
    counts = Counter(entry.path for entry in entries)
    twice = sorted(path for path, count in counts.items() if count > 1)
    if twice:
        raise LayeredImageError(
            address,
            f"two of its files would be at /{twice[0]}; use two image_files targets with different "
            "destinations",
            ImageFilesDependenciesField.alias,
        )
    return tuple(entries)


def rules():
    return [
        *collect_rules(),
        UnionRule(ProvideObjectsRequest, ProvideRootEntryRequest),
        UnionRule(ProvideObjectsRequest, ProvideFilesRequest),
    ]
