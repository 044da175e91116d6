"""What is told about images: SBOMs and provenance, as files and as referrers in a layout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from pants.engine.fs import (
    CreateDigest,
    Digest,
    DigestSubset,
    FileContent,
    FileDigest,
    FileEntry,
    GlobMatchErrorBehavior,
    MergeDigests,
    PathGlobs,
)
from pants.engine.target import Target
from pants.util.logging import LogLevel

import strata
from layered_image.engine import (
    PANTS_VERSION,
    collect_rules,
    concurrently,
    create_digest,
    digest_subset_to_digest,
    get_digest_contents,
    get_digest_entries,
    implicitly,
    merge_digests,
    path_globs_to_digest,
    rule,
)
from layered_image.errors import LayeredImageError
from layered_image.fields.attestations import (
    ATTESTATIONS,
    PROVENANCE,
    SBOM,
    ImageAttestationsField,
)
from layered_image.images.image_index import BuildImageRequest, BuiltImage, build_layered_image
from layered_image.images.metadata import ImageMetadata, ImageMetadataRequest, fill_metadata
from layered_image.strata_process import StrataRequest, run_strata
from layered_image.subsystem import LayeredImageSubsystem
from layered_image.supply_chain.facts import image_facts, image_name, lock_paths, shaping_fields
from strata.closure.python.lock import Artifacts, locked_artifacts
from strata.oci.content import blob_path
from strata.supply_chain.artifacts import (
    PREDICATE_TYPE,
    PROVENANCE_MEDIA_TYPE,
    SBOM_MEDIA_TYPE,
    AttachedFile,
    attached,
)

_LIBRARY = "cyclonedx"
_OUTPUT = "document.json"
_SUFFIXES = {SBOM: "cdx.json", PROVENANCE: "provenance.json"}
_MEDIA_TYPES = {SBOM: SBOM_MEDIA_TYPE, PROVENANCE: PROVENANCE_MEDIA_TYPE}
_ANNOTATIONS = {
    SBOM: (),
    # How those who look for provenance tell it from other statements.
    PROVENANCE: (("in-toto.io/predicate-type", PREDICATE_TYPE),),
}


@dataclass(frozen=True)
class PythonLocksRequest:
    paths: Tuple[str, ...]


@dataclass(frozen=True)
class PythonLocks:
    """The texts of locks, in the order of their paths."""

    texts: Tuple[str, ...]


@dataclass(frozen=True)
class DocumentRequest:
    """One run of ``strata COMMAND``. ``spec`` is its JSON text."""

    command: str
    spec: str
    description: str


@dataclass(frozen=True)
class WrittenDocument:
    file: FileDigest


@dataclass(frozen=True)
class Document:
    """``suffix`` is what its file's name ends in; ``subjects`` are digests of the images and the
    index that it is about."""

    kind: str
    suffix: str
    file: FileDigest
    subjects: Tuple[str, ...]


@dataclass(frozen=True)
class AttestationsRequest:
    target: Target


@dataclass(frozen=True)
class Attestations:
    documents: Tuple[Document, ...]


@dataclass(frozen=True)
class AttestedLayoutRequest:
    target: Target
    layout: Digest


@dataclass(frozen=True)
class AttestedLayout:
    """An image's layout, with what is told about it as referrers."""

    digest: Digest


@rule(desc="Read Python locks", level=LogLevel.DEBUG)
async def read_python_locks(request: PythonLocksRequest) -> PythonLocks:
    digest = await path_globs_to_digest(
        PathGlobs(request.paths, glob_match_error_behavior=GlobMatchErrorBehavior.ignore)
    )
    contents = await get_digest_contents(digest)
    texts = {file.path: file.content.decode(errors="replace") for file in contents}
    return PythonLocks(tuple(texts.get(path, "") for path in request.paths))


@rule(desc="Write what is told about an image", level=LogLevel.DEBUG)
async def write_document(request: DocumentRequest) -> WrittenDocument:
    empty = await create_digest(CreateDigest([]))
    result = await run_strata(
        StrataRequest(
            command=request.command,
            spec=request.spec,
            description=request.description,
            input_digest=empty,
            output_files=(_OUTPUT,),
            libraries=(_LIBRARY,),
        ),
        **implicitly(),
    )
    if result.error:
        raise ValueError(f"{request.description}: {result.error}")
    entries = await get_digest_entries(result.digest)
    return WrittenDocument(
        next(entry.file_digest for entry in entries if isinstance(entry, FileEntry))
    )


@rule(desc="Write attestations of an image", level=LogLevel.DEBUG)
async def write_attestations(
    request: AttestationsRequest, options: LayeredImageSubsystem
) -> Attestations:
    target = request.target
    kinds = wanted_attestations(target, options)
    if not kinds:
        return Attestations(())
    image = await build_layered_image(BuildImageRequest(target), **implicitly())
    metadata = [item.as_base.metadata for item in image.images]
    paths = lock_paths(metadata)
    locks: Dict[str, Artifacts] = {}
    if paths:
        read = await read_python_locks(PythonLocksRequest(paths), **implicitly())
        locks = {path: locked_artifacts(text) for path, text in zip(paths, read.texts)}
    facts = [image_facts(text, locks) for text in metadata]
    single = len(facts) == 1 and facts[0].digest == image.digest
    wanted: List[Tuple[str, str, Tuple[str, ...], DocumentRequest]] = []
    if SBOM in kinds:
        for item, described in zip(image.images, facts):
            suffix = _SUFFIXES[SBOM]
            if not single:
                suffix = f"{str(item.platform).replace('/', '-')}.{suffix}"
            document = _document(
                SBOM, {"facts": described.to_json()}, f"SBOM of {item.address} ({item.platform})"
            )
            wanted.append((SBOM, suffix, (described.digest,), document))
    if PROVENANCE in kinds:
        said = await fill_metadata(ImageMetadataRequest(target), **implicitly())
        spec = {
            "name": image_name(target),
            "digest": image.digest,
            "images": [described.to_json() for described in facts],
            "parameters": _parameters(target, said, image, options),
            "builder": options.builder_id,
            "versions": {"pants": PANTS_VERSION, "strata": strata.__version__},
        }
        subjects = tuple(dict.fromkeys((image.digest, *(item.digest for item in image.images))))
        document = _document(PROVENANCE, spec, f"Provenance of {target.address}")
        wanted.append((PROVENANCE, _SUFFIXES[PROVENANCE], subjects, document))
    written = await concurrently(
        write_document(document, **implicitly()) for *_, document in wanted
    )
    return Attestations(
        tuple(
            Document(kind, suffix, result.file, subjects)
            for (kind, suffix, subjects, _), result in zip(wanted, written)
        )
    )


def wanted_attestations(target: Target, options: LayeredImageSubsystem) -> Tuple[str, ...]:
    """Raises LayeredImageError for what the option cannot mean, and for provenance without a
    builder."""
    field = target[ImageAttestationsField]
    kinds = tuple(options.attestations) if field.value is None else field.value
    unknown = sorted(set(kinds) - set(ATTESTATIONS))
    if unknown:
        raise LayeredImageError(
            target.address,
            f"[layered-images].attestations has {', '.join(map(repr, unknown))}; choose from "
            f"{', '.join(map(repr, ATTESTATIONS))}",
        )
    if PROVENANCE in kinds and not options.builder_id:
        raise LayeredImageError(
            target.address,
            "provenance says who built the image: set [layered-images].builder_id to a URI that "
            'stands for it, such as builder_id = "https://ci.example/release-pipeline@v1"',
            field.alias,
        )
    return kinds


def _document(command: str, spec: Dict[str, Any], description: str) -> DocumentRequest:
    text = json.dumps({**spec, "output": _OUTPUT}, sort_keys=True)
    return DocumentRequest(command, text, description)


def _parameters(
    target: Target, said: ImageMetadata, image: BuiltImage, options: LayeredImageSubsystem
) -> Dict[str, Any]:
    """All that a caller could choose: the target, what it and its images say, and options."""
    fields = {
        item.address.spec: json.loads(item.as_base.metadata)["fields"] for item in image.images
    }
    fields[target.address.spec] = shaping_fields(target, said)
    return {
        "target": target.address.spec,
        "fields": fields,
        "options": {
            "applications": options.applications,
            "popularity_scope": options.popularity_scope.value,
            "store": options.store,
        },
    }


@rule(desc="Attach attestations to an image", level=LogLevel.DEBUG)
async def attest_layout(request: AttestedLayoutRequest) -> AttestedLayout:
    target = request.target
    told = await write_attestations(AttestationsRequest(target), **implicitly())
    if not told.documents:
        return AttestedLayout(request.layout)
    image = await build_layered_image(BuildImageRequest(target), **implicitly())
    subset = await digest_subset_to_digest(DigestSubset(request.layout, PathGlobs(["index.json"])))
    contents = await get_digest_contents(subset)
    index = json.loads(contents[0].content)
    metadata = [json.loads(item.as_base.metadata) for item in image.images]
    subjects = {item["descriptor"]["digest"]: item["descriptor"] for item in metadata}
    subjects.update({item["digest"]: item for item in index["manifests"]})
    created = {item["descriptor"]["digest"]: item["config"]["created"] for item in metadata}
    newest = max(created.values())
    blobs: List[FileEntry] = []
    files: List[AttachedFile] = []
    for document in told.documents:
        file = document.file
        digest = f"sha256:{file.fingerprint}"
        blobs.append(FileEntry(blob_path(digest), file))
        files += [
            AttachedFile(
                subjects[subject],
                _MEDIA_TYPES[document.kind],
                digest,
                file.serialized_bytes_length,
                f"{target.address.target_name}.{document.suffix}",
                created.get(subject, newest),
                _ANNOTATIONS[document.kind],
            )
            for subject in document.subjects
        ]
    own = attached(index, files)
    made = await create_digest(
        CreateDigest([*blobs, *(FileContent(path, content) for path, content in own.items())])
    )
    kept = await digest_subset_to_digest(
        DigestSubset(request.layout, PathGlobs(["blobs/**", "oci-layout"]))
    )
    return AttestedLayout(await merge_digests(MergeDigests([kept, made])))


def rules():
    return collect_rules()
