"""Layer processes: one per layer, keyed by its members and settings alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from pants.engine.fs import (
    EMPTY_DIGEST,
    AddPrefix,
    CreateDigest,
    Digest,
    DigestSubset,
    FileDigest,
    FileEntry,
    MergeDigests,
    PathGlobs,
)
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel
from pants.util.strutil import pluralize

from layered_image.closure.provider import (
    Interpreter,
    LinkFarm,
    ProvidedApplication,
    ProvidedObject,
    RootEntry,
)
from layered_image.engine import (
    add_prefix,
    collect_rules,
    concurrently,
    create_digest,
    digest_subset_to_digest,
    get_digest_contents,
    implicitly,
    merge_digests,
    rule,
)
from layered_image.strata_process import StrataRequest, run_strata

_INTERPRETER = "interpreter"


@dataclass(frozen=True)
class LayerSettings:
    """What is part of every layer's key. ``mtime`` is in seconds since the epoch, ``owners`` the
    JSON text of owner rules, ``python`` the image's minor version; ``interpreter`` holds what
    bytecode is compiled with, or is None."""

    compression: str
    mtime: int
    uid: int
    gid: int
    owners: str = "[]"
    python: str = ""
    interpreter: Optional[Digest] = None
    uname: str = ""
    gname: str = ""


@dataclass(frozen=True)
class LayerMember:
    provided: ProvidedObject
    omit: Tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerRequest:
    """``links`` are the image's links to folders, which files placed below follow."""

    members: Tuple[LayerMember, ...]
    settings: LayerSettings
    links: FrozenDict = field(default_factory=FrozenDict)


@dataclass(frozen=True)
class BuiltLayer:
    """``blobs`` holds ``blobs/sha256/<hex>``; ``listings`` holds ``listings.json``; ``metadata`` is
    the JSON text of ``layer.json``. With an ``error`` there is no layer."""

    blobs: Digest
    listings: Digest
    metadata: str
    error: str = ""


@dataclass(frozen=True)
class InterpreterRequest:
    """``packages`` are the Debian packages that the interpreter needs to run."""

    packages: Tuple[ProvidedObject, ...]
    python: str


@dataclass(frozen=True)
class UnpackedInterpreter:
    digest: Digest
    error: str = ""


@dataclass(frozen=True)
class CustomisationRequest:
    """``root`` holds what was found in the base image, and nothing without one; ``links`` are as in
    ``LayerRequest``. ``borrowed`` are objects of the image that lie in the base's layers, and
    ``base_listings`` has their paths."""

    settings: LayerSettings
    listings: Tuple[Digest, ...]
    interpreter: Optional[Interpreter]
    applications: Tuple[ProvidedApplication, ...]
    farms: Tuple[LinkFarm, ...]
    entries: Tuple[RootEntry, ...]
    root: Digest = EMPTY_DIGEST
    links: FrozenDict = field(default_factory=FrozenDict)
    base_listings: Tuple[Digest, ...] = ()
    borrowed: Tuple[str, ...] = ()


@rule(desc="Unpack the image's interpreter", level=LogLevel.DEBUG)
async def unpack_interpreter(request: InterpreterRequest) -> UnpackedInterpreter:
    inputs = await merge_digests(MergeDigests(package.digest for package in request.packages))
    spec = {
        "python": request.python,
        "packages": [
            {"name": package.item.name.partition(":")[2], "source": package.source}
            for package in request.packages
        ],
    }
    result = await run_strata(
        StrataRequest(
            command="interpreter",
            spec=json.dumps(spec, sort_keys=True),
            description=f"Unpack python{request.python} to compile bytecode with",
            input_digest=inputs,
            output_files=(f"{_INTERPRETER}.tar",),
        ),
        **implicitly(),
    )
    return UnpackedInterpreter(result.digest, result.error)


@rule(desc="Build a layer", level=LogLevel.DEBUG)
async def build_layer(request: LayerRequest) -> BuiltLayer:
    settings = request.settings
    placed = await concurrently(
        add_prefix(AddPrefix(member.provided.digest, f"objects/{index}"))
        for index, member in enumerate(request.members)
    )
    inputs = await merge_digests(MergeDigests(placed))
    is_python = any(_is_python(member.provided) for member in request.members)
    compiles = is_python and settings.interpreter is not None
    spec = {
        "compression": settings.compression,
        "mtime": settings.mtime,
        "uid": settings.uid,
        "gid": settings.gid,
        "uname": settings.uname,
        "gname": settings.gname,
        # Objects in the store need to know nothing of what is around it.
        "links": dict(request.links) if any(is_placed(m.provided) for m in request.members) else {},
        "owners": json.loads(settings.owners),
        "python": settings.python if is_python else "",
        "interpreter": f"{_INTERPRETER}/{_INTERPRETER}.tar" if compiles else "",
        "objects": [
            _object_spec(member, f"objects/{index}") for index, member in enumerate(request.members)
        ],
    }
    result = await run_strata(
        StrataRequest(
            command="layer",
            spec=json.dumps(spec, sort_keys=True),
            description=f"Layer of {_describe(request.members)}",
            input_digest=inputs,
            output_files=("blob", "layer.json", "listings.json"),
            immutable=FrozenDict({_INTERPRETER: settings.interpreter} if compiles else {}),
            compression=settings.compression,
        ),
        **implicitly(),
    )
    if result.error:
        return BuiltLayer(result.digest, result.digest, "", result.error)
    listings = await digest_subset_to_digest(
        DigestSubset(result.digest, PathGlobs(["listings.json"]))
    )
    metadata = await digest_subset_to_digest(DigestSubset(result.digest, PathGlobs(["layer.json"])))
    contents = await get_digest_contents(metadata)
    text = contents[0].content.decode()
    blobs = await create_digest(CreateDigest([blob_entry(text)]))
    return BuiltLayer(blobs, listings, text)


@rule(desc="Build the customisation layer", level=LogLevel.DEBUG)
async def build_customisation(request: CustomisationRequest) -> BuiltLayer:
    settings = request.settings
    placed = await concurrently(
        add_prefix(AddPrefix(listing, f"listings/{index}"))
        for index, listing in enumerate((*request.listings, *request.base_listings))
    )
    listings = [f"listings/{index}/listings.json" for index in range(len(placed))]
    has_base = request.root != EMPTY_DIGEST
    inputs = await merge_digests(MergeDigests((*placed, request.root)))
    spec = {
        "compression": settings.compression,
        "mtime": settings.mtime,
        "owners": json.loads(settings.owners),
        "links": dict(request.links),
        "root": "root.json" if has_base else "",
        "listings": listings[: len(request.listings)],
        "base_listings": listings[len(request.listings) :],
        "borrowed": request.borrowed,
        "applications": [
            _application_spec(application, request.interpreter)
            for application in request.applications
        ],
        "farms": [{"mount": farm.mount, "objects": farm.objects} for farm in request.farms],
        "entries": [vars(entry) for entry in request.entries],
    }
    result = await run_strata(
        StrataRequest(
            command="customisation",
            spec=json.dumps(spec, sort_keys=True),
            description="Customisation layer",
            input_digest=inputs,
            output_files=("blob", "layer.json"),
            compression=settings.compression,
        ),
        **implicitly(),
    )
    if result.error:
        return BuiltLayer(result.digest, result.digest, "", result.error)
    metadata = await digest_subset_to_digest(DigestSubset(result.digest, PathGlobs(["layer.json"])))
    contents = await get_digest_contents(metadata)
    text = contents[0].content.decode()
    blobs = await create_digest(CreateDigest([blob_entry(text)]))
    nothing = await create_digest(CreateDigest([]))
    return BuiltLayer(blobs, nothing, text)


def blob_entry(metadata: str) -> FileEntry:
    """A process' ``blob`` at its place in an image layout.

    Pants names files by SHA-256, as image layouts do: the layer's digest is the file's.
    """
    layer = json.loads(metadata)
    _, _, fingerprint = layer["digest"].partition(":")
    return FileEntry(f"blobs/sha256/{fingerprint}", FileDigest(fingerprint, layer["size"]))


def is_placed(provided: ProvidedObject) -> bool:
    """Whether it lies at a path of its own. Debian packages do too, and are moved by Debian's
    rules wherever they go."""
    return not provided.root and provided.kind != "debian"


def _is_python(provided: ProvidedObject) -> bool:
    return provided.kind == "wheel" or provided.python_sources


def _object_spec(member: LayerMember, folder: str) -> Dict[str, Any]:
    provided = member.provided
    has_manifest = provided.source == "content"
    return {
        "name": provided.item.name,
        "version": provided.item.version,
        "kind": provided.kind,
        "source": f"{folder}/{provided.source}",
        "manifest": f"{folder}/manifest.json" if has_manifest else "",
        "root": provided.root,
        "prefix": provided.prefix,
        "python_sources": provided.python_sources,
        "omit": member.omit,
    }


def _application_spec(
    application: ProvidedApplication, interpreter: Optional[Interpreter]
) -> Dict[str, Any]:
    assert interpreter is not None, "an application is provided only with an interpreter"
    launcher = None
    if application.launcher_name:
        launcher = {
            "name": application.launcher_name,
            "entry_point": application.entry_point,
            "script": application.script,
            "args": application.args,
            "env": sorted(application.env.items()),
        }
    return {
        "path": application.path,
        "objects": application.objects,
        "interpreter": interpreter.path,
        "version": interpreter.version,
        "launcher": launcher,
    }


def _describe(members: Tuple[LayerMember, ...]) -> str:
    names: List[str] = [
        f"{m.provided.item.name} {m.provided.item.version}".strip() for m in members[:2]
    ]
    if len(members) > 2:
        names.append(pluralize(len(members) - 2, "more object"))
    return ", ".join(names)


def rules():
    return collect_rules()
