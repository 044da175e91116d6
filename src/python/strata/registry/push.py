"""An image of an OCI layout into a repository: blobs, then manifests by digest, then tags.

The order is what makes a push safe: whoever sees a tag can pull everything below it, and whoever
sees an image can find what refers to it.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import dataclass
from typing import BinaryIO, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from strata.errors import StrataError
from strata.registry.body import BlobSource, Cancelled, FileSource
from strata.registry.descriptor import Descriptor
from strata.registry.layout import Layout, LayoutImage
from strata.registry.locations import BlobLocations
from strata.registry.progress import Progress, short, size
from strata.registry.referrers import is_listed, push_referrer
from strata.registry.repository import Repository
from strata.registry.upload import BlobOutcome

#: What has a blob that the layout has not: its bytes, or None.
FindBlob = Callable[[Descriptor], Optional[BlobSource]]

_SAID = {
    BlobOutcome.EXISTS: "already there",
    BlobOutcome.MOUNTED: "mounted",
    BlobOutcome.UPLOADED: "uploaded",
}


@dataclass(frozen=True)
class PushResult:
    """``digest`` is of the image or index. ``outcomes`` are by the blobs' digests, and empty where
    the registry had the manifest already; ``uploaded`` are the bytes of blobs that were sent."""

    digest: str
    outcomes: Mapping[str, BlobOutcome]
    uploaded: int


def push_layout(
    layout: Layout,
    repository: Repository,
    tags: Sequence[str] = (),
    digest: str = "",
    concurrency: int = 4,
    locations: Optional[BlobLocations] = None,
    mount_from: Sequence[str] = (),
    find_blob: FindBlob = lambda descriptor: None,
    progress: Optional[Progress] = None,
    before_tags: Callable[[LayoutImage], None] = lambda image: None,
) -> PushResult:
    """Pushes the image of ``layout`` (``digest`` chooses among several) under all ``tags``.

    At most ``concurrency`` blobs are under way at once. ``locations`` is shared by all pushes
    that may share blobs; ``mount_from`` are further repositories of the same registry to mount
    from, such as the base image's. ``find_blob`` has blobs that are not in the layout.
    ``before_tags`` is called when all of the image is there and tags are not set yet.

    A client makes one push at a time: a failure ends all that is under way.

    Raises StrataError for a layout that cannot be pushed, RegistryError for a registry that does
    not take it. No tag is set then.
    """
    image = layout.image(digest)
    say = progress or Progress()
    push = _Push(layout, repository, locations or BlobLocations(), mount_from, find_blob, say)
    if repository.resolve(image.root.digest) is None:
        push.blobs(image.blobs, concurrency)
        for manifest in image.manifests:
            repository.put_manifest(manifest)
        say.line(f"{repository}@{image.root.digest}: pushed")
    else:
        push.remember(image.blobs)
        say.line(f"{repository}@{image.root.digest}: already there")
    push.referrers(image, concurrency)
    before_tags(image)
    for tag in tags:
        known = repository.resolve(tag)
        if known is None or known.digest != image.root.digest:
            repository.put_manifest(image.root, tag)
        say.line(f"{repository}:{tag}: {image.root.digest}")
    return PushResult(image.root.digest, push.outcomes, push.uploaded)


class _Push:
    def __init__(
        self,
        layout: Layout,
        repository: Repository,
        locations: BlobLocations,
        mount_from: Sequence[str],
        find_blob: FindBlob,
        progress: Progress,
    ) -> None:
        self._layout = layout
        self._repository = repository
        self._locations = locations
        self._mount_from = mount_from
        self._find_blob = find_blob
        self._progress = progress
        # Nobody waits for a blob once another has failed.
        self._cancelled = repository.cancelled
        self._cancelled.clear()
        self._not_there: List[Tuple[str, str]] = []
        self.outcomes: Dict[str, BlobOutcome] = {}
        self.uploaded = 0

    def blobs(self, blobs: Sequence[Descriptor], concurrency: int) -> None:
        """The largest first: the last one to finish should be a short one."""
        left = [blob for blob in blobs if blob.digest not in self.outcomes]
        ordered = sorted(left, key=lambda blob: (-blob.size, blob.digest))
        with concurrent.futures.ThreadPoolExecutor(max(1, concurrency)) as pool:
            futures = [pool.submit(self._blob, blob) for blob in ordered]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException as error:
                self._cancelled.set()
                for future in futures:
                    future.cancel()
                raise _cause(futures, error) from None
        self.remember(blobs)

    def remember(self, blobs: Sequence[Descriptor]) -> None:
        registry = self._repository.registry
        known = {blob.digest: True for blob in blobs}
        self._locations.record(registry, self._repository.name, known)
        for repository in {name for name, _ in self._not_there}:
            gone = {digest: False for name, digest in self._not_there if name == repository}
            self._locations.record(registry, repository, gone)

    def referrers(self, image: LayoutImage, concurrency: int) -> None:
        missing = [m for m in image.referrers if self._repository.resolve(m.digest) is None]
        wanted: Dict[str, Descriptor] = {}
        for manifest in missing:
            wanted.update((blob.digest, blob) for blob in manifest.blobs)
        if wanted:
            self.blobs(list(wanted.values()), concurrency)
        for manifest in image.referrers:
            # One that is there is listed, unless a push was cut between the two.
            if manifest in missing or not is_listed(self._repository, manifest):
                push_referrer(self._repository, manifest)
            self._progress.line(f"{self._repository}@{manifest.digest}: refers to the image")

    def _blob(self, blob: Descriptor) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        registry = self._repository.registry
        known = [*self._locations.find(registry, blob.digest), *self._mount_from]
        candidates = [name for name in dict.fromkeys(known) if name != self._repository.name]
        outcome, origin = self._repository.push_blob(
            blob,
            self._source(blob),
            mount_from=candidates,
            on_position=self._progress.follow(blob),
        )
        self.outcomes[blob.digest] = outcome
        if outcome is BlobOutcome.UPLOADED:
            self.uploaded += blob.size
            self._not_there += [(name, blob.digest) for name in candidates]
        said = f"mounted from {origin}" if origin else _SAID[outcome]
        self._progress.line(f"{short(blob.digest)}: {said} ({size(blob.size)})")

    def _source(self, blob: Descriptor) -> BlobSource:
        path = self._layout.blob_path(blob.digest)
        if path is not None:
            return FileSource(str(path), path.stat().st_size)
        return self._find_blob(blob) or _Missing(blob, str(self._repository))


class _Missing(BlobSource):
    """Is of use as long as nobody needs the bytes: the registry may have them."""

    def __init__(self, blob: Descriptor, repository: str) -> None:
        self.size = blob.size
        self._message = (
            f"{blob.digest} is not in the layout, and {repository} has it neither itself nor "
            "from where it could be mounted"
        )

    def open(self, offset: int) -> BinaryIO:
        raise StrataError(self._message)


def _cause(futures: "List[concurrent.futures.Future[None]]", error: BaseException) -> BaseException:
    """What failed first: Cancelled is only its consequence."""
    if not isinstance(error, Cancelled):
        return error
    failures = [f.exception() for f in futures if f.done() and not f.cancelled()]
    real = [item for item in failures if item is not None and not isinstance(item, Cancelled)]
    return real[0] if real else error
