"""Which objects of an image its base has already, so that they lie in it once."""

from __future__ import annotations

import json
from typing import Dict, Optional, Tuple

from pants.engine.target import Target
from pants.util.frozendict import FrozenDict

from layered_image.bases.base import LoadedBase
from layered_image.closure.collect import ImageClosure
from layered_image.images.layers import LayerSettings, is_placed
from layered_image.images.planning import omitted_paths


def held_objects(target: Target, closure: ImageClosure, settings: LayerSettings) -> FrozenDict:
    """For each object by name two texts: all that its bytes depend on but bytecode, and what
    bytecode is compiled with.

    Not for what lies at a path of its own choice, which depends on links of the image, and not
    where owner rules are.
    """
    if json.loads(settings.owners):
        return FrozenDict()
    omitted = omitted_paths(target, closure)
    shared = [settings.mtime, settings.uid, settings.gid, settings.uname, settings.gname]
    compiler = settings.interpreter.fingerprint if settings.interpreter else ""
    found: Dict[str, Tuple[str, str]] = {}
    for item in closure.objects:
        if is_placed(item):
            continue
        name = item.item.name
        is_python = item.kind == "wheel" or item.python_sources
        facts = [
            *shared,
            settings.python if is_python else "",
            [name, item.item.version, item.kind, item.digest.fingerprint],
            [item.source, item.root, item.prefix, item.python_sources],
            omitted[name],
        ]
        found[name] = (json.dumps(facts), compiler if is_python else "")
    return FrozenDict(found)


def in_base(
    own: FrozenDict, settings: LayerSettings, base: Optional[LoadedBase]
) -> Tuple[str, ...]:
    """The names of those of ``own`` that ``base`` has as they would be built again.

    An image without an interpreter to compile with takes what its base has compiled.
    """
    if base is None:
        return ()
    return tuple(
        name
        for name, (key, compiler) in sorted(own.items())
        if name in base.held
        and base.held[name][0] == key
        and (settings.interpreter is None or base.held[name][1] == compiler)
    )
