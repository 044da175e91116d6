"""``python -m strata run-image SPEC [ARGUMENT...]``: runs an image's program.

SPEC is a JSON file: ``runtime`` (``namespace``, ``runc``, ``podman``, ``docker`` or ``auto``),
``read_only``, ``layout`` (the image's files), ``cache`` and ``memory`` (as in
``strata.namespace.runner.Image``), and ``engine_options`` for ``podman run`` and ``docker run``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List

from strata.commands.load_image import load, machine_architecture
from strata.errors import StrataError
from strata.load.image import loadable_image
from strata.namespace.bundle import runtime_config
from strata.namespace.container import container_of, identity
from strata.namespace.id_map import IdMap, IdMapKind
from strata.namespace.layer_cache import LayerCache, PackedLayer
from strata.namespace.limits import cache_key
from strata.namespace.machine import choose_isolation
from strata.namespace.records import Recording
from strata.namespace.runner import Image, run_image
from strata.namespace.signals import forward_to
from strata.namespace.tree import copy_tree

_ENGINES = ("podman", "docker")


def main(arguments: List[str]) -> int:
    """The exit code of the image's program. Raises StrataError if it cannot be started."""
    spec: Dict[str, Any] = json.loads(Path(arguments[0]).read_text())
    runtime = _runtime(spec["runtime"])
    if runtime == "namespace":
        return _in_namespaces(spec, arguments[1:])
    if shutil.which(runtime) is None:
        raise StrataError(f"{runtime} is not installed, and --run-image-runtime names it")
    if runtime == "runc":
        return _with_runc(spec, arguments[1:])
    return _with_engine(runtime, spec, arguments[1:])


def _runtime(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    try:
        if choose_isolation(network=True, in_image=True).namespaces:
            return "namespace"
        refused = "this machine allows no namespaces"
    except StrataError as error:
        refused = str(error)
    found = next((name for name in _ENGINES if shutil.which(name)), None)
    if found is None:
        raise StrataError(f"{refused}; install podman or docker to run images here")
    return found


def _in_namespaces(spec: Dict[str, Any], arguments: List[str]) -> int:
    layout = Path(spec["layout"]).absolute()
    config, layers = _contents(layout)
    isolation = choose_isolation(network=True, in_image=True)
    if not isolation.namespaces:
        raise StrataError(
            "this machine allows no namespaces; give --run-image-runtime=podman or docker"
        )
    cache = Path(spec["cache"]).absolute()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="strata-run-") as scratch:
        image = Image(
            layers,
            container_of(config.get("config") or {}, arguments),
            cache,
            spec["memory"],
            spec["read_only"],
        )
        return run_image(image, isolation, Path(scratch))


def _with_runc(spec: Dict[str, Any], arguments: List[str]) -> int:
    config, layers = _contents(Path(spec["layout"]).absolute())
    container = container_of(config.get("config") or {}, arguments)
    id_map = IdMap(IdMapKind.NONE)
    # An ordinary user owns all that is in the container, whoever it belongs to in the image.
    recording = Recording(*(3 * [os.geteuid() != 0]))
    cache = LayerCache(Path(spec["cache"]).absolute(), cache_key(id_map, recording), recording)
    with tempfile.TemporaryDirectory(prefix="strata-run-") as scratch:
        bundle = Path(scratch)
        copy_tree(cache.unpack_together(layers).root, bundle / "rootfs")
        who = identity(container.user, bundle / "rootfs")
        if os.geteuid() and (who.uid or who.gid):
            raise StrataError(
                f"runc needs root to run a program as {who.uid}:{who.gid}, which the image's "
                "config asks for; give --run-image-runtime=namespace"
            )
        described = runtime_config(container, who, spec["read_only"], os.isatty(0))
        (bundle / "config.json").write_text(json.dumps(described))
        name = f"strata-{os.getpid()}"
        command = ["runc", "--root", f"{bundle}/state", "run", "--bundle", scratch, name]
        process = subprocess.Popen(command)
        forward_to(process.pid)
        code = process.wait()
        return 128 - code if code < 0 else code


def _contents(layout: Path) -> "tuple[Dict[str, Any], List[PackedLayer]]":
    """The configuration and the layers of a layout's image for this machine."""
    image = loadable_image(layout, machine_architecture())
    config = json.loads((layout / image.config).read_text())
    pairs = zip(image.layers, config["rootfs"]["diff_ids"])
    return config, [PackedLayer(layout / path, diff_id) for path, diff_id in pairs]


def _with_engine(engine: str, spec: Dict[str, Any], arguments: List[str]) -> int:
    image = loadable_image(Path(spec["layout"]), machine_architecture())
    load(image, engine)
    options = ["--rm", "--interactive", "--network=host", *spec["engine_options"]]
    if os.isatty(0):
        options.append("--tty")
    if spec["read_only"]:
        options.append("--read-only")
    command = [engine, "run", *options, image.references[0], *arguments]
    os.execvp(engine, command)
