"""``strata base``: takes a base image's archive apart.

Writes an image layout (``index.json`` and ``blobs``), and ``base.json`` with the image's
configuration and its layers.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import tarfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from strata.commands.layer import write_json
from strata.errors import StrataError
from strata.oci.base import blob_path, docker_layers, parsed_json, read_layout
from strata.oci.image import (
    CONFIG_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
)

_CHUNK = 1 << 20
_BLOB = re.compile(r"blobs/[a-z0-9]+/[A-Za-z0-9]+")
_GZIP = b"\x1f\x8b"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError for what is no image archive, or has no image for the architecture."""
    origin, architecture = spec["origin"], spec["architecture"]
    layout = out
    try:
        with tarfile.open(spec["source"], "r:*") as archive:
            names = {
                member.name.removeprefix("./"): member for member in archive if member.isfile()
            }
            if "index.json" in names:
                _extract_layout(archive, names, layout, origin)
            elif "manifest.json" in names:
                _convert_docker(archive, names, layout, origin)
            else:
                raise StrataError(
                    f"{origin}: it is no image archive: it has neither index.json nor "
                    "manifest.json. Name a file of `docker save`, `skopeo copy` or the like"
                )
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StrataError(f"{origin}: it cannot be read as a tar archive: {error}") from error

    def read(path: str) -> Optional[bytes]:
        file = layout / path
        return file.read_bytes() if file.is_file() else None

    image = read_layout(read, architecture, origin)
    for layer in image.layers:
        path = blob_path(layer.digest)
        if not (layout / path).is_file():
            raise StrataError(f"{origin}: it is no image: {path} is missing")
    write_json(
        out / "base.json",
        {"config": image.config, "layers": [vars(layer) for layer in image.layers]},
    )


def _extract_layout(
    archive: tarfile.TarFile, names: Dict[str, tarfile.TarInfo], layout: Path, origin: str
) -> None:
    for name, member in names.items():
        # Nothing else belongs to a layout, least of all a path that leaves it.
        if name != "index.json" and not _BLOB.fullmatch(name):
            continue
        digest = _copy(archive, member, layout / name)
        if name.startswith("blobs/sha256/") and name != f"blobs/sha256/{digest}":
            raise StrataError(f"{origin}: {name} is damaged: its digest is sha256:{digest}")


def _convert_docker(
    archive: tarfile.TarFile, names: Dict[str, tarfile.TarInfo], layout: Path, origin: str
) -> None:
    """Turns an archive of ``docker save`` into a layout: layers stay as they are."""
    text = _content(archive, names["manifest.json"])
    config_name, layer_names = docker_layers(parsed_json(text, "manifest.json", origin), origin)
    blobs = layout / "blobs" / "sha256"
    layers: List[Dict[str, Any]] = []
    known: Dict[str, Tuple[str, int]] = {}
    for name in layer_names:
        member = names.get(name)
        if member is None:
            # docker save writes a layer that occurs twice as a link to the first.
            member = _found(names, _link_target(archive, name), origin)
        if member.name not in known:
            partial = blobs / "partial"
            digest = _copy(archive, member, partial)
            partial.rename(blobs / digest)
            known[member.name] = (digest, member.size)
        digest, size = known[member.name]
        with open(blobs / digest, "rb") as file:
            suffix = "+gzip" if file.read(2) == _GZIP else ""
        layers.append(
            {"mediaType": f"{_LAYER}{suffix}", "digest": f"sha256:{digest}", "size": size}
        )
    config = _content(archive, _found(names, config_name, origin))
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "config": _store(blobs, config, CONFIG_MEDIA_TYPE),
            "layers": layers,
        },
        sort_keys=True,
    ).encode()
    write_json(
        layout / "index.json",
        {"schemaVersion": 2, "manifests": [_store(blobs, manifest, MANIFEST_MEDIA_TYPE)]},
    )


def _link_target(archive: tarfile.TarFile, name: str) -> str:
    """What the link ``name`` points at; ``name`` itself if it is none."""
    try:
        member = archive.getmember(name)
    except KeyError:
        return name
    if member.issym():
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
    return posixpath.normpath(member.linkname)


def _found(names: Dict[str, tarfile.TarInfo], name: str, origin: str) -> tarfile.TarInfo:
    if name not in names:
        raise StrataError(f"{origin}: it is no image: {name} is missing")
    return names[name]


def _store(blobs: Path, content: bytes, media_type: str) -> Dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, "only regular files are asked for"
    return file.read()


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None, "only regular files are asked for"
    digest = hashlib.sha256()
    with open(target, "wb") as out:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()
