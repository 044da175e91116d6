"""Blobs that are in another repository and not here: they pass through a file, if they must."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from strata.registry.body import BlobSource
from strata.registry.descriptor import Descriptor
from strata.registry.repository import Repository


class RemoteSource(BlobSource):
    """Fetches the blob from ``repository`` into ``folder`` when its bytes are asked for: most often
    they are not, because the registry that it goes to has it or can mount it."""

    def __init__(self, repository: Repository, blob: Descriptor, folder: Path) -> None:
        self.size = blob.size
        self._repository = repository
        self._blob = blob
        self._path = folder / blob.digest.replace(":", "-")

    def open(self, offset: int) -> BinaryIO:
        """Raises RegistryError if it cannot be fetched."""
        self._repository.download_blob(self._blob, self._path)
        file = open(self._path, "rb")  # noqa: SIM115 - the caller closes it
        file.seek(offset)
        return file
