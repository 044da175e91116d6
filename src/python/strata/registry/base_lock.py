"""What a registry says of an image, as a lock holds it: no layer is fetched."""

from __future__ import annotations

from typing import Dict, Iterable

from strata.oci.base_lock import BaseLock
from strata.platforms import MACHINES
from strata.registry.descriptor import Descriptor, Manifest
from strata.registry.errors import RegistryError
from strata.registry.repository import Repository


def lock_image(repository: Repository, name: str, tag: str, digest: str) -> BaseLock:
    """Locks the image or index that ``tag`` or, where it is not empty, ``digest`` stands for.

    ``name`` is what the target calls the repository. Of an index the images for Linux are locked,
    on every architecture that images can have. Raises RegistryError for what cannot be fetched or
    is no image.
    """
    root = repository.manifest(digest or tag)
    contents: Dict[str, str] = {}
    _add(contents, repository, root, f"{repository}: {digest or tag}")
    return BaseLock(name, tag, root.digest, root.media_type, contents)


def _add(contents: Dict[str, str], repository: Repository, manifest: Manifest, origin: str) -> None:
    contents[manifest.digest] = _text(manifest.content, origin)
    if manifest.is_index:
        for child in _usable(manifest.children):
            below = repository.manifest(child.digest)
            _add(contents, repository, below, f"{repository}: {child.digest}")
        return
    config = manifest.blobs[0]
    contents[config.digest] = _text(repository.read_blob(config), f"{origin}: its configuration")


def _usable(children: Iterable[Descriptor]) -> Iterable[Descriptor]:
    """Attestations and the like are for no platform that an image can have."""
    for child in children:
        platform = child.extra.get("platform", {})
        if platform.get("os", "linux") != "linux":
            continue
        if platform.get("architecture", "amd64") in MACHINES:
            yield child


def _text(content: bytes, origin: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RegistryError(f"{origin}: it is not UTF-8: {error}") from error
