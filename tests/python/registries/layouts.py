"""Small OCI layouts to push. Their layers are no archives: registries do not look into them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, List, Sequence

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"


class LayoutBuilder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self._listed: List[Dict[str, Any]] = []

    def blob(self, content: bytes, media_type: str) -> Dict[str, Any]:
        encoded = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs/sha256" / encoded).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}

    def image(
        self, layers: Sequence[bytes], architecture: str = "amd64", listed: bool = True
    ) -> Dict[str, Any]:
        """The manifest's descriptor, with its platform."""
        described = [self.blob(layer, LAYER) for layer in layers]
        platform = {"architecture": architecture, "os": "linux"}
        rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in described]}
        config = self.blob(json.dumps({**platform, "rootfs": rootfs}).encode(), CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": described,
        }
        descriptor = {**self.blob(json.dumps(manifest).encode(), MANIFEST), "platform": platform}
        return self.listed(descriptor) if listed else descriptor

    def index(self, manifests: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
        data = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
        return self.listed(self.blob(json.dumps(data).encode(), INDEX))

    def referrer(
        self, subject: Dict[str, Any], artifact_type: str, content: bytes
    ) -> Dict[str, Any]:
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": self.blob(b"{}", EMPTY),
            "layers": [self.blob(content, artifact_type)],
            "subject": {key: subject[key] for key in ("mediaType", "digest", "size")},
        }
        return self.listed(self.blob(json.dumps(manifest).encode(), MANIFEST))

    def listed(self, descriptor: Dict[str, Any]) -> Dict[str, Any]:
        self._listed.append(descriptor)
        data = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self._listed}
        (self.folder / "index.json").write_text(json.dumps(data))
        return descriptor


def noise(size: int, seed: str) -> bytes:
    """Bytes that are equal for equal seeds."""
    pieces = []
    for number in range(size // 32 + 1):
        pieces.append(hashlib.sha256(f"{seed} {number}".encode()).digest())
    return b"".join(pieces)[:size]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
