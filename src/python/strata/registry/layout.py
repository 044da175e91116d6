"""OCI image layouts as something to push (OCI image specification v1.1, "Image Layout").

A layout is a folder with ``index.json`` and ``blobs/sha256/…``. Blobs may be missing from it: what
a base image has need not be here if the registry has it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from strata.errors import StrataError
from strata.registry.descriptor import Descriptor, Manifest, check_digest


@dataclass(frozen=True)
class LayoutImage:
    """``manifests`` are in the order in which a registry takes them: what an index lists stands
    before the index, and ``root`` is the last one. ``referrers`` are manifests about any of them,
    to be pushed after them. ``blobs`` are those of all, each once."""

    root: Manifest
    manifests: Tuple[Manifest, ...]
    referrers: Tuple[Manifest, ...]
    blobs: Tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """Of everything, in bytes."""
        parts = [item.descriptor for item in (*self.manifests, *self.referrers)]
        return sum(item.size for item in (*parts, *self.blobs))


class Layout:
    """``folder`` has ``index.json``. Manifests are verified when they are read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def blob_path(self, digest: str) -> Optional[Path]:
        """None if the layout does not have it."""
        path = self._folder / "blobs" / digest.replace(":", "/", 1)
        return path if path.is_file() else None

    def image(self, digest: str = "") -> LayoutImage:
        """The image or index of this layout, with all it lists and all that refers to it.

        ``digest`` is needed where ``index.json`` names several that are no referrers. Raises
        StrataError for a layout without it, or with a damaged manifest.
        """
        listed = self._listed()
        by_digest = {manifest.digest: manifest for manifest in listed}
        referrers = [manifest for manifest in listed if manifest.subject is not None]
        roots = [digest] if digest else [m.digest for m in listed if m.subject is None]
        if len(roots) != 1 or roots[0] not in by_digest:
            raise StrataError(
                f"{self._folder}: it has {len(roots)} images ({', '.join(roots) or 'none'}), and "
                f"{digest or 'exactly one'} is to be pushed"
            )
        root = by_digest[roots[0]]
        manifests = self._with_children(root)
        known = {manifest.digest for manifest in manifests}
        about: List[Manifest] = []
        # A signature of an SBOM refers to a referrer.
        while fresh := [
            item
            for item in referrers
            if item not in about and item.subject is not None and item.subject.digest in known
        ]:
            about += fresh
            known |= {item.digest for item in fresh}
        blobs: Dict[str, Descriptor] = {}
        for manifest in (*manifests, *about):
            for blob in manifest.blobs:
                if not blob.is_foreign:
                    blobs.setdefault(blob.digest, blob)
        return LayoutImage(root, tuple(manifests), tuple(about), tuple(blobs.values()))

    def _listed(self) -> List[Manifest]:
        path = self._folder / "index.json"
        try:
            data: Any = json.loads(path.read_bytes())
            items = data["manifests"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StrataError(f"{path}: it is no index of an OCI layout: {error}") from error
        descriptors = [Descriptor.from_json(item, str(path)) for item in items]
        unique = {descriptor.digest: descriptor for descriptor in descriptors}
        return [self._manifest(descriptor) for descriptor in unique.values()]

    def _manifest(self, descriptor: Descriptor) -> Manifest:
        path = self.blob_path(descriptor.digest)
        if path is None:
            raise StrataError(f"{self._folder}: the manifest {descriptor.digest} is missing")
        content = path.read_bytes()
        check_digest(content, descriptor.digest, str(path))
        return Manifest.from_bytes(content, descriptor.media_type, str(path))

    def _with_children(self, manifest: Manifest) -> List[Manifest]:
        found: Dict[str, Manifest] = {}
        for child in manifest.children:
            for item in self._with_children(self._manifest(child)):
                found.setdefault(item.digest, item)
        found.setdefault(manifest.digest, manifest)
        return list(found.values())
