"""Where an image goes: registries, repositories and tags from fields and options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Tuple

from pants.engine.addresses import Address

from layered_image.registries.registries import ALL_DEFAULT_REGISTRIES, Registries, Registry
from layered_image.templates import filled
from strata.errors import StrataError
from strata.oci.image import checked_tag
from strata.registry.reference import has_registry, parse_reference


@dataclass(frozen=True)
class Destination:
    """``repository`` has its registry's host in front. ``registry`` is what options say of it."""

    registry: Registry
    repository: str
    tags: Tuple[str, ...]

    @property
    def names(self) -> Tuple[str, ...]:
        return tuple(f"{self.repository}:{tag}" for tag in self.tags)


def target_placeholders(address: Address, image_name: str) -> Dict[str, str]:
    """What is known of a target by its address and name, as Pants' docker backend has it."""
    path = address.spec_path
    return {
        "name": address.target_name,
        "image_name": image_name,
        "directory": os.path.basename(path),
        "parent_directory": os.path.basename(os.path.dirname(path)),
        "full_directory": path,
    }


def placeholders(address: Address, image_name: str, digest: str) -> Dict[str, str]:
    """Values by name, for the places where an image goes."""
    values = target_placeholders(address, image_name)
    return {**values, "pants.hash": digest.partition(":")[2]}


def find_destinations(
    registries: Registries,
    wanted_registries: Sequence[str],
    wanted_repositories: Sequence[str],
    default_repository: str,
    tags: Sequence[str],
    values: Mapping[str, str],
) -> Tuple[Destination, ...]:
    """In the order of repositories and registries, each repository once.

    ``wanted_registries`` and ``wanted_repositories`` are the fields' values, ``values`` those of
    placeholders. Nothing comes out if no registry is named anywhere.

    Raises StrataError for unknown aliases and placeholders, and for what is no name or tag.
    """
    image_name = values["image_name"]
    if not wanted_repositories and has_registry(image_name):
        if tuple(wanted_registries) == (ALL_DEFAULT_REGISTRIES,):
            wanted_repositories = (image_name,)
        else:
            values = {**values, "image_name": image_name.partition("/")[2]}
    default = _filled(default_repository, values, "[layered-images].default_repository")
    values = {**values, "default_repository": default}
    found: Dict[str, Destination] = {}
    for template in wanted_repositories or (None,):
        own = default if template is None else _filled(template, values, "`repositories`")
        placed: List[Tuple[Registry, str]]
        if own.startswith("@"):
            alias, slash, rest = own.partition("/")
            if not rest:
                raise StrataError(f"`repositories`: {own!r} has no repository after its alias")
            placed = [(registries.find(alias), rest)]
        elif has_registry(own):
            placed = [_literal(registries, own)]
        else:
            known = registries.get(wanted_registries)
            placed = [(item, _replaced(item, own, values)) for item in known]
        for registry, repository in placed:
            reference = parse_reference(f"{registry.address}/{repository.lower()}")
            if reference.tag or reference.digest:
                raise StrataError(
                    f"{own!r} has a tag or digest, and a repository has none; `tags` has the tags"
                )
            name = reference.name
            extra = [_filled(t, values, "`extra_image_tags`") for t in registry.extra_image_tags]
            checked = tuple(dict.fromkeys(checked_tag(tag) for tag in (*tags, *extra)))
            found.setdefault(name, Destination(registry, name, checked))
    return tuple(found.values())


def _literal(registries: Registries, name: str) -> Tuple[Registry, str]:
    """The configured registry whose address begins ``name``, if there is one."""
    for item in registries.known:
        if name.startswith(f"{item.address}/"):
            return item, name[len(item.address) + 1 :]
    host, _, rest = name.partition("/")
    return registries.find(host), rest


def _replaced(registry: Registry, own: str, values: Mapping[str, str]) -> str:
    if not registry.repository:
        return own
    where = f"[layered-images].registries.{registry.alias}.repository"
    return _filled(registry.repository, {**values, "target_repository": own}, where)


def _filled(template: str, values: Mapping[str, str], where: str) -> str:
    try:
        return filled(template, values)
    except StrataError as error:
        raise StrataError(f"{where}: {error}") from error
