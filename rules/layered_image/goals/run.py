"""``run`` for images and indexes: the archive, streamed to standard output.

`pants run app:image | docker load` writes the archive straight from the layers' blobs. There is no
archive on disk, and nothing is hashed or compressed again.
"""

from __future__ import annotations

from pants.core.goals.run import RunRequest
from pants.engine.fs import AddPrefix, MergeDigests
from pants.engine.target import WrappedTargetRequest
from pants.util.logging import LogLevel

from layered_image.engine import (
    add_prefix,
    collect_rules,
    implicitly,
    merge_digests,
    resolve_target,
    rule,
)
from layered_image.field_sets import ImageFieldSet
from layered_image.images.image_index import BuildImageRequest, build_layered_image
from layered_image.libraries.resolve import LibraryRequest, resolve_library
from layered_image.strata_process import EnginePython, EngineSources


@rule(desc="Stream an image", level=LogLevel.DEBUG)
async def stream_image(
    field_set: ImageFieldSet, engine: EngineSources, python: EnginePython
) -> RunRequest:
    compression = field_set.archive_compression.value or ""
    wrapped = await resolve_target(
        WrappedTargetRequest(field_set.address, description_of_origin="the `run` goal"),
        **implicitly(),
    )
    image = await build_layered_image(BuildImageRequest(wrapped.target), **implicitly())
    layout = await add_prefix(AddPrefix(image.layout, "layout"))
    sources = await add_prefix(AddPrefix(engine.digest, "engine"))
    library = await resolve_library(LibraryRequest(compression), **implicitly())
    libraries = await add_prefix(AddPrefix(library.digest, "libraries"))
    digest = await merge_digests(MergeDigests([layout, sources, libraries]))
    command = (python.path, "-IB", "{chroot}/engine", "stream", "{chroot}/layout")
    return RunRequest(digest=digest, args=(*command, compression))


def rules():
    return [*collect_rules(), *ImageFieldSet.rules()]
