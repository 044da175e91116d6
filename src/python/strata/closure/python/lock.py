"""Which artifact of a package index a Python lock means for a wheel.

Locks are Pex' (JSON, to which Pants adds comments at the top) or requirement files with hashes.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Tuple
from urllib.parse import unquote, urlparse

from strata.closure.python.wheel import normalized

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")

#: Normalised name and version to the artifacts that are allowed: file name ("" where the lock does
#: not say) and SHA-256.
Artifacts = Mapping[Tuple[str, str], Tuple[Tuple[str, str], ...]]


def locked_artifacts(text: str) -> Artifacts:
    """What a lock allows; nothing for a file that is no lock of a known kind."""
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    if body.lstrip().startswith("{"):
        try:
            return _of_pex(json.loads(body))
        except (ValueError, KeyError, TypeError):
            return {}
    return _of_requirements(text)


def artifact_hash(artifacts: Artifacts, name: str, version: str, file_name: str) -> str:
    """The SHA-256 of the artifact that the wheel ``file_name`` is, or else was built from.

    Empty unless the lock names the file, or allows nothing but one artifact.
    """
    found = artifacts.get((normalized(name), version), ())
    named = {sha256 for other, sha256 in found if other == file_name}
    chosen = named or {sha256 for _, sha256 in found}
    return chosen.pop() if len(chosen) == 1 else ""


def _of_pex(lock: Mapping[str, Any]) -> Artifacts:
    found: Dict[Tuple[str, str], List[Tuple[str, str]]] = {}
    for resolve in lock["locked_resolves"]:
        for requirement in resolve["locked_requirements"]:
            key = (normalized(requirement["project_name"]), requirement["version"])
            for artifact in requirement["artifacts"]:
                if artifact["algorithm"] == "sha256":
                    path = unquote(urlparse(artifact["url"]).path)
                    row = (path.rpartition("/")[2], artifact["hash"])
                    found.setdefault(key, []).append(row)
    return {key: tuple(rows) for key, rows in found.items()}


def _of_requirements(text: str) -> Artifacts:
    found: Dict[Tuple[str, str], List[Tuple[str, str]]] = {}
    logical = text.replace("\\\n", " ")
    for line in logical.splitlines():
        match = _REQUIREMENT.match(line.strip())
        if match is not None:
            rows = found.setdefault((normalized(match[1]), match[2]), [])
            rows += [("", sha256) for sha256 in _HASH.findall(line)]
    return {key: tuple(rows) for key, rows in found.items()}
