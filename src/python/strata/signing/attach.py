"""Signatures into the repository of what they sign, before anybody can pull it by a tag."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Dict, List

from strata.errors import StrataError
from strata.registry.body import BytesSource, FileSource
from strata.registry.descriptor import Descriptor, Manifest, digest_of
from strata.registry.errors import NotFound
from strata.registry.layout import LayoutImage
from strata.registry.progress import Progress
from strata.registry.referrers import push_referrer
from strata.registry.repository import Repository
from strata.signing.answer import Answer, Attachment, read_answer
from strata.signing.command import SigningCommand


def sign_image(
    repository: Repository,
    image: LayoutImage,
    command: SigningCommand,
    recursive: bool,
    progress: Progress,
) -> None:
    """Asks ``command`` for signatures of ``image``, whose manifests ``repository`` has, and stores
    them there. An index is signed itself, and with ``recursive`` each of its images as well.

    Raises StrataError, which names the command's option, for a command that does not do what it
    should, and RegistryError.
    """
    for manifest in image.manifests if recursive else (image.root,):
        subject = manifest.descriptor
        content = command.ask(subject, str(repository))
        with tempfile.TemporaryDirectory(prefix="strata-signing-") as folder:
            try:
                answer = read_answer(content, subject, Path(folder))
            except StrataError as error:
                raise command.error(str(error)) from error
            for attachment in answer.attachments:
                _attach(repository, answer, attachment)
                where = attachment.tag or attachment.manifest.digest
                progress.line(f"{repository}: {where} signs {subject.digest}")
        if not answer.attachments:
            progress.line(f"{repository}: the command adds no signature to {subject.digest}")


def _attach(repository: Repository, answer: Answer, attachment: Attachment) -> None:
    manifest = attachment.manifest
    for blob in manifest.blobs:
        path = answer.layout.blob_path(blob.digest)
        assert path is not None
        repository.push_blob(blob, FileSource(str(path), blob.size))
    if manifest.subject is not None:
        push_referrer(repository, manifest)
    if attachment.tag:
        _tag(repository, manifest, attachment.tag)


def _tag(repository: Repository, manifest: Manifest, tag: str) -> None:
    """Signatures of one image share cosign's tag, a layer each: those of others stay."""
    try:
        known = repository.manifest(tag)
    except NotFound:
        repository.put_manifest(manifest, tag)
        return
    data = manifest.data
    old: List[Dict[str, Any]] = known.data.get("layers") or []
    new = [layer for layer in data.get("layers") or [] if layer not in old]
    if not new:
        return
    layers = [*old, *new]
    config = _config(repository, manifest, layers)
    merged = {**data, "config": config.to_json(), "layers": layers}
    content = json.dumps(merged, sort_keys=True, separators=(",", ":")).encode()
    repository.put_manifest(Manifest.from_bytes(content), tag)


def _config(repository: Repository, manifest: Manifest, layers: List[Dict[str, Any]]) -> Descriptor:
    """The configuration of ``manifest``, whose layers are ``layers`` now; pushed."""
    own = manifest.blobs[0]
    data: Any = json.loads(repository.read_blob(own))
    if not isinstance(data, dict) or "rootfs" not in data:
        return own
    # Signatures are not compressed, so their digests are diff IDs, too.
    data["rootfs"] = {**data["rootfs"], "diff_ids": [layer["digest"] for layer in layers]}
    content = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    config = Descriptor(own.media_type, digest_of(content), len(content))
    repository.push_blob(config, BytesSource(content))
    return config
