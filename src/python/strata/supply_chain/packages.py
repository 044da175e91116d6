"""Package URLs (purl specification) of what an image has, and of images."""

from __future__ import annotations

from typing import Dict

from packageurl import PackageURL

from strata.oci.image import has_registry
from strata.supply_chain.facts import BaseOrigin, Placed


def image_purl(name: str, digest: str, architecture: str = "") -> PackageURL:
    """Of an image or index ``name``, which may have a registry's host in front."""
    qualifiers: Dict[str, str] = {}
    if architecture:
        qualifiers["arch"] = architecture
    if has_registry(name):
        qualifiers["repository_url"] = name
    return PackageURL("oci", None, name.rpartition("/")[2].lower(), digest, qualifiers)


def base_purl(base: BaseOrigin) -> "PackageURL | None":
    """None for an archive, which has no name that others know."""
    if not base.digest:
        return None
    return image_purl(base.repository or base.name, base.digest)


def object_purl(placed: Placed) -> "PackageURL | None":
    """None for what no package index has.

    ``upstream`` of a Debian package, its source package where name or version differ, is what
    scanners look for: Debian's security tracker knows source packages.
    """
    origin = placed.origin
    if origin.ecosystem == "pypi":
        return PackageURL("pypi", None, origin.name, placed.version)
    if origin.ecosystem == "deb":
        qualifiers = {"arch": origin.architecture, "distro": origin.suite.partition("-")[0]}
        name, version = placed.source
        if name and version != placed.version:
            qualifiers["upstream"] = f"{name}@{version}"
        elif name and name != origin.name:
            qualifiers["upstream"] = name
        return PackageURL("deb", "debian", origin.name, placed.version, qualifiers)
    return None


def source_purl(placed: Placed) -> "PackageURL | None":
    """The source package of a Debian package."""
    name, version = placed.source
    if placed.origin.ecosystem != "deb" or not name:
        return None
    return PackageURL("deb", "debian", name, version, {"arch": "source"})
