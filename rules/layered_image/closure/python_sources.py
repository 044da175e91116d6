"""The first-party code of a target's closure: one object per target of a BUILD file."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import Dict, FrozenSet, List, Set, Tuple

from pants.backend.python.target_types import (
    InterpreterConstraintsField,
    PythonProvidesField,
    PythonRequirementsField,
    PythonSourceField,
)
from pants.backend.python.util_rules.python_sources import PythonSourceFilesRequest
from pants.engine.addresses import Address
from pants.engine.target import (
    Dependencies,
    DependenciesRequest,
    SourcesField,
    Target,
    TransitiveTargetsRequest,
)
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from layered_image.closure.manifest import (
    DescribedContent,
    DescribeRequest,
    Entry,
    describe_content,
)
from layered_image.engine import (
    collect_rules,
    concurrently,
    get_digest_entries,
    implicitly,
    prepare_python_sources,
    resolve_dependencies,
    rule,
    strip_python_sources,
    transitive_targets,
)


@dataclass(frozen=True)
class FirstPartyRequest:
    """``provided`` are the paths that wheels built from this repository put into
    ``site-packages``: a source that such a wheel contains comes from the wheel alone."""

    address: Address
    provided: FrozenSet[str]


@dataclass(frozen=True)
class SourceObject:
    """The sources of one target. ``requirements`` are dependency specifiers that it depends on,
    ``references`` other source objects."""

    name: str
    content: DescribedContent
    references: Tuple[str, ...]
    requirements: Tuple[str, ...]


@dataclass(frozen=True)
class FirstPartyObjects:
    """``constraints`` are the interpreter constraints that sources state for themselves;
    ``distributions`` the addresses of wheels that are built from this repository, by name.
    ``owners`` says which object a target's sources are, ``asked`` which requirements a target
    stands for, by address."""

    objects: Tuple[SourceObject, ...]
    requirements: Tuple[str, ...]
    constraints: FrozenDict
    distributions: FrozenDict
    owners: FrozenDict
    asked: FrozenDict


@rule(desc="Find first-party objects", level=LogLevel.DEBUG)
async def find_first_party(request: FirstPartyRequest) -> FirstPartyObjects:
    transitive = await transitive_targets(
        TransitiveTargetsRequest([request.address]), **implicitly()
    )
    closure = sorted(transitive.closure, key=lambda target: target.address.spec)
    with_dependencies = [target for target in closure if target.has_field(Dependencies)]
    found = await concurrently(
        resolve_dependencies(DependenciesRequest(target[Dependencies]), **implicitly())
        for target in with_dependencies
    )
    dependencies = {
        target.address: tuple(addresses) for target, addresses in zip(with_dependencies, found)
    }
    groups: Dict[Address, List[Target]] = defaultdict(list)
    for target in closure:
        if target.has_field(SourcesField) and not target.has_field(PythonRequirementsField):
            groups[target.address.maybe_convert_to_target_generator()].append(target)
    owners = sorted(groups, key=lambda address: address.spec)
    sources = await concurrently(
        prepare_python_sources(
            PythonSourceFilesRequest(groups[owner], include_resources=True, include_files=True),
            **implicitly(),
        )
        for owner in owners
    )
    stripped = await concurrently(strip_python_sources(item) for item in sources)
    digests = [item.stripped_source_files.snapshot for item in stripped]
    entries = await concurrently(get_digest_entries(snapshot.digest) for snapshot in digests)

    # Targets of equal names below different source roots make one object.
    names: Dict[Address, str] = {}
    files: Dict[str, Dict[str, Entry]] = defaultdict(dict)
    for owner, snapshot, source, found_entries in zip(owners, digests, sources, entries):
        kept = [entry for entry in found_entries if entry.path not in request.provided]
        if kept:
            names[owner] = _object_name(owner, snapshot.files, source.source_files.files)
            files[names[owner]].update({entry.path: entry for entry in kept})
    ordered = sorted(files)
    contents = await concurrently(
        describe_content(DescribeRequest(tuple(files[name].values())), **implicitly())
        for name in ordered
    )
    references, requirements = _references(closure, dependencies, names)
    return FirstPartyObjects(
        tuple(
            SourceObject(
                name,
                content,
                tuple(sorted(references[name] - {name})),
                tuple(sorted(requirements[name])),
            )
            for name, content in zip(ordered, contents)
        ),
        tuple(sorted({text for target in closure for text in _requirement_texts(target)})),
        FrozenDict(
            {
                target.address.spec: target[InterpreterConstraintsField].value or ()
                for target in closure
                if target.has_field(PythonSourceField)
                and target.has_field(InterpreterConstraintsField)
            }
        ),
        FrozenDict(
            {
                target[PythonProvidesField].value.kwargs["name"]: target.address.spec
                for target in closure
                if target.has_field(PythonProvidesField)
            }
        ),
        FrozenDict(names),
        FrozenDict(
            {target.address: texts for target in closure if (texts := _requirement_texts(target))}
        ),
    )


def _object_name(owner: Address, stripped: Tuple[str, ...], full: Tuple[str, ...]) -> str:
    """``source:`` and the folder below its source root; the target's name too if it is no default.

    The source root itself stays out of it, so that moving it changes no digest.
    """
    root = ""
    for path in full:
        match = next((s for s in stripped if path == s or path.endswith(f"/{s}")), None)
        if match is not None:
            root = path[: len(path) - len(match)].rstrip("/")
            break
    folder = owner.spec_path
    below = os.path.relpath(folder, root) if root else folder
    below = "" if below == "." or below.startswith("..") else below
    if below and owner.target_name == os.path.basename(folder):
        return f"source:{below}"
    return f"source:{below}:{owner.target_name}" if below else f"source:{owner.target_name}"


def _requirement_texts(target: Target) -> Tuple[str, ...]:
    if not target.has_field(PythonRequirementsField):
        return ()
    return tuple(str(requirement) for requirement in target[PythonRequirementsField].value)


def _references(
    closure: List[Target],
    dependencies: Dict[Address, Tuple[Address, ...]],
    names: Dict[Address, str],
) -> Tuple[Dict[str, Set[str]], Dict[str, Set[str]]]:
    """For each object the objects and the requirements it needs.

    A dependency on a target without sources (a ``target`` that groups others, a distribution) is
    a dependency on all that it stands for.
    """
    by_address = {target.address: target for target in closure}
    # Not the generators are in a closure, but what they generate.
    generated: Dict[Address, List[Address]] = defaultdict(list)
    for address in by_address:
        generated[address.maybe_convert_to_target_generator()].append(address)
    references: Dict[str, Set[str]] = defaultdict(set)
    requirements: Dict[str, Set[str]] = defaultdict(set)
    for target in closure:
        name = names.get(target.address.maybe_convert_to_target_generator())
        if name is None:
            continue
        pending = list(dependencies.get(target.address, ()))
        seen: Set[Address] = set()
        while pending:
            address = pending.pop()
            if address in seen:
                continue
            seen.add(address)
            other = names.get(address.maybe_convert_to_target_generator())
            if other is not None:
                references[name].add(other)
                continue
            needed = by_address.get(address)
            if needed is None:
                pending.extend(generated[address])
                continue
            texts = _requirement_texts(needed)
            requirements[name].update(texts)
            if needed.has_field(PythonProvidesField):
                requirements[name].add(needed[PythonProvidesField].value.kwargs["name"])
            if not texts:
                pending.extend(dependencies.get(address, ()))
    return references, requirements


def rules():
    return collect_rules()
