"""``python -m strata publish SPEC``: puts an image of a layout into a repository of a registry.

SPEC is a JSON file: ``layout`` (its folder), ``digest`` (of the image or index), ``repository``
(with the registry's host in front), ``tags``, ``settings`` (``ClientSettings.to_json``),
``locations`` (a folder that pushes share, or ""), ``mount_from`` (repositories of the same
registry, with the host in front), ``remote`` (blobs that the layout lacks: digest to a repository
that has it), ``signing`` (None, or ``SigningCommand.from_json`` with ``recursive``) and ``target``,
which errors name.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

from strata.errors import StrataError
from strata.registry.body import BlobSource
from strata.registry.client import RegistryClient
from strata.registry.descriptor import Descriptor
from strata.registry.layout import Layout, LayoutImage
from strata.registry.locations import BlobLocations
from strata.registry.progress import Progress, size
from strata.registry.push import PushResult, push_layout
from strata.registry.reference import parse_reference
from strata.registry.remote import RemoteSource
from strata.registry.settings import ClientSettings
from strata.registry.upload import BlobOutcome
from strata.signing.attach import sign_image
from strata.signing.command import SigningCommand


def main(arguments: List[str]) -> int:
    """Raises StrataError, which names the target, if the image does not get there."""
    spec: Dict[str, Any] = json.loads(Path(arguments[0]).read_text())
    try:
        _publish(spec)
    except StrataError as error:
        raise StrataError(f"{spec['target']}: {error}") from error
    except KeyboardInterrupt:
        _say(f"{spec['target']}: interrupted; what is uploaded stays, and no tag was set")
        return 130
    return 0


def _publish(spec: Dict[str, Any]) -> None:
    name = parse_reference(spec["repository"])
    locations = BlobLocations(Path(spec["locations"]) if spec["locations"] else None)
    mounts = [parse_reference(item) for item in spec["mount_from"]]
    settings = ClientSettings.from_json(spec["settings"])
    signing = spec.get("signing")
    progress = Progress(_say)
    remote = {digest: parse_reference(item) for digest, item in spec.get("remote", {}).items()}
    for digest, origin in remote.items():
        # Where it can be mounted from.
        locations.record(origin.registry, origin.repository, {digest: True})
    with RegistryClient(settings, warn=_say) as client, tempfile.TemporaryDirectory() as folder:

        def find_blob(blob: Descriptor) -> Optional[BlobSource]:
            if blob.digest not in remote:
                return None
            return RemoteSource(client.repository(remote[blob.digest]), blob, Path(folder))

        def sign(image: LayoutImage) -> None:
            if signing is not None:
                command = SigningCommand.from_json(signing)
                sign_image(repository, image, command, signing["recursive"], progress)

        repository = client.repository(name)
        result = push_layout(
            Layout(Path(spec["layout"])),
            repository,
            spec["tags"],
            digest=spec["digest"],
            concurrency=settings.concurrency,
            locations=locations,
            mount_from=[item.repository for item in mounts if item.registry == name.registry],
            find_blob=find_blob,
            progress=progress,
            before_tags=sign,
        )
    _say(f"{name.name}@{result.digest}: {_summary(result)}")


def _summary(result: PushResult) -> str:
    counts: Dict[BlobOutcome, int] = {}
    for outcome in result.outcomes.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    return (
        f"{counts.get(BlobOutcome.UPLOADED, 0)} blobs uploaded ({size(result.uploaded)}), "
        f"{counts.get(BlobOutcome.MOUNTED, 0)} mounted, "
        f"{counts.get(BlobOutcome.EXISTS, 0)} already there"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
