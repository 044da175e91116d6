"""Media types of manifests, and what is known by them (OCI image specification v1.1, "Media
Types"; Docker image manifest version 2, schema 2)."""

from __future__ import annotations

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

#: Manifests of one image each.
IMAGE_MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
#: Manifests that list others, one for each platform.
INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (*IMAGE_MANIFESTS, *INDEXES)

#: Layers that registries do not store: their bytes are at the descriptor's ``urls``.
FOREIGN_LAYERS = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
)
