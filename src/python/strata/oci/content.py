"""Content of image layouts: JSON as we write it, its digest, and where a blob lies."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def json_bytes(data: Any) -> bytes:
    """Equal data gives equal bytes, and so equal digests."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob_path(digest: str) -> str:
    """OCI image specification, "Image Layout"."""
    return "blobs/" + digest.replace(":", "/", 1)
