"""Which repositories of a registry have a blob: remembered between pushes, for mounts.

What stands here is a hint. A registry that does not have the blob there any more gets it uploaded.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional

_VERSION = 1
_LONGEST_MEMORY = 30 * 24 * 3600
_MOST_BLOBS = 50_000
_MOST_REPOSITORIES = 3


class BlobLocations:
    """A file per registry in ``folder``, or only this process' memory without one.

    Processes may share the folder: each reads and writes under a lock. A damaged file is begun
    anew.
    """

    def __init__(self, folder: Optional[Path] = None) -> None:
        self._folder = folder
        self._memory: Dict[str, Dict[str, Any]] = {}

    def find(self, registry: str, digest: str) -> List[str]:
        """Repositories of ``registry`` that had the blob, the latest one first."""
        entry = self._blobs(registry).get(digest)
        return list(entry["repositories"]) if entry else []

    def record(self, registry: str, repository: str, digests: Mapping[str, bool]) -> None:
        """``repository`` has the blobs whose value is True, and has not the others."""
        with self._locked(registry):
            if self._folder is not None:
                self._memory.pop(registry, None)
            blobs = self._blobs(registry)
            now = int(time.time())
            for digest, is_there in digests.items():
                known = blobs.get(digest, {}).get("repositories", [])
                others = [name for name in known if name != repository]
                kept = [repository, *others] if is_there else others
                if kept:
                    blobs[digest] = {"repositories": kept[:_MOST_REPOSITORIES], "seen": now}
                else:
                    blobs.pop(digest, None)
            self._write(registry, blobs, now)

    def _blobs(self, registry: str) -> Dict[str, Any]:
        if registry not in self._memory:
            self._memory[registry] = self._read(registry)
        return self._memory[registry]

    def _path(self, registry: str) -> Optional[Path]:
        if self._folder is None:
            return None
        return self._folder / f"{registry.replace(':', '_').replace('[', '').replace(']', '')}.json"

    def _read(self, registry: str) -> Dict[str, Any]:
        path = self._path(registry)
        if path is None:
            return {}
        try:
            data = json.loads(path.read_bytes())
            if data["version"] != _VERSION:
                return {}
            return {
                digest: {
                    "repositories": [str(n) for n in e["repositories"]],
                    "seen": int(e["seen"]),
                }
                for digest, e in data["blobs"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write(self, registry: str, blobs: Dict[str, Any], now: int) -> None:
        path = self._path(registry)
        if path is None:
            return
        fresh = {d: e for d, e in blobs.items() if now - e["seen"] <= _LONGEST_MEMORY}
        if len(fresh) > _MOST_BLOBS:
            newest = sorted(fresh, key=lambda digest: fresh[digest]["seen"])[-_MOST_BLOBS:]
            fresh = {digest: fresh[digest] for digest in newest}
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps({"version": _VERSION, "blobs": fresh}))
        unfinished.replace(path)

    @contextlib.contextmanager
    def _locked(self, registry: str) -> Iterator[None]:
        path = self._path(registry)
        if path is None:
            yield
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".lock"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
