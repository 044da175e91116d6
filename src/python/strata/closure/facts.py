"""What a layer process tells of an object besides its paths: what identifies its files, and which
source package a Debian package was built from.

Whoever has the image can check both.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Dict, Iterable, Mapping

from strata.archive.entry import Entry

#: Where an image has the control paragraphs of its Debian packages.
STATUS_FOLDER = "var/lib/dpkg/status.d"
# Debian policy 5.6.1, "Source": a name, and a version if the binary package has another.
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")


def directory_hash(hashes: Mapping[str, str]) -> str:
    """``dirHash`` of the in-toto attestation specification, "DigestSet": the Hash1 of Go modules in
    lower-case hexadecimal. ``hashes`` maps paths to the SHA-256 of the files there.

    Empty where it is not defined: without files, and with a line break in a path.
    """
    if not hashes or any("\n" in path for path in hashes):
        return ""
    lines = sorted((path.encode(), sha256) for path, sha256 in hashes.items())
    summary = b"".join(b"%s  %s\n" % (sha256.encode(), path) for path, sha256 in lines)
    return hashlib.sha256(summary).hexdigest()


def file_facts(entries: Iterable[Entry], root: str, hashes: Mapping[str, str]) -> Dict[str, str]:
    """The ``dir_hash`` of an object's files, with their paths below ``root``.

    ``hashes`` has those that the object consists of: not what was made for this image, such as
    bytecode.
    """
    skip = len(root) + 1 if root else 0
    kept = {entry.path[skip:]: hashes[entry.path] for entry in entries if hashes.get(entry.path)}
    found = directory_hash(kept)
    return {"dir_hash": found} if found else {}


def source_facts(package: str, entries: Iterable[Entry]) -> Dict[str, Any]:
    """``source`` of a Debian package: ``name`` and ``version`` of what it was built from."""
    from strata.closure.debian.deb822 import paragraphs

    path = f"{STATUS_FOLDER}/{package}"
    for entry in entries:
        if entry.path == path:
            control = next(paragraphs(entry.read().decode(errors="replace")), {})
            return {"source": _source(control)} if "package" in control else {}
    return {}


def _source(control: Mapping[str, str]) -> Dict[str, str]:
    name, version = control["package"], control.get("version", "")
    match = _SOURCE.fullmatch(control.get("source", ""))
    if match is not None:
        name, version = match[1], match[2] or version
    return {"name": name, "version": version}
