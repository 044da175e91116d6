"""``strata run-commands``: runs an image's commands, and writes the layer that they leave.

Writes ``blob``, ``layer.json`` (what the image needs to know about the layer) and ``changes.json``
(the paths in it).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType
from strata.archive.reader import read_entries
from strata.archive.writer import write_layer
from strata.commands.layer import write_json
from strata.errors import StrataError
from strata.namespace.isolation import run_isolated
from strata.namespace.layer_cache import PackedLayer
from strata.namespace.machine import choose_isolation
from strata.namespace.session import Session
from strata.namespace.settings import Script, Settings, Tool

#: Where this machine's programs are looked for.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What commands that do not have the image as their root can always call, as far as it is there.
USUAL_TOOLS = """
    awk basename bash cat chgrp chmod chown cmp comm cp cut date dd diff dirname echo env expr false
    find getcap grep gzip head id install join ln ls md5sum mkdir mkfifo mknod mktemp mv nl od paste
    printf pwd readlink realpath rm rmdir sed seq setcap sh sha256sum sleep sort split stat tail tar
    tee test touch tr true truncate uname uniq unlink wc xargs yes
""".split()  # noqa: SIM905
_LONGEST_ERROR = 32 << 10


def run(spec: Dict[str, Any], out: Path) -> None:
    """Raises StrataError for commands that fail, and if this machine cannot run them."""
    settings = _settings(spec)
    entries = list(read_entries(Path(spec["customisation"]), "the customisation layer"))
    cache = Path(spec["cache"]).absolute()
    cache.mkdir(parents=True, exist_ok=True)
    in_image = any(script.in_image for script in settings.scripts)
    isolation = choose_isolation(spec["network"], in_image)
    error_out, error_in = os.pipe()
    with tempfile.TemporaryDirectory(dir=".", prefix="scratch-") as scratch:
        folder = Path(scratch).absolute()

        def task() -> int:
            try:
                session = Session(settings, isolation, folder, cache)
                try:
                    _write(session.run(entries), spec, out)
                finally:
                    session.remove()
            except StrataError as error:
                os.write(error_in, str(error).encode()[:_LONGEST_ERROR])
                return 1
            return 0

        code = run_isolated(task, isolation)
    os.close(error_in)
    with open(error_out, "rb") as errors:
        message = errors.read().decode(errors="replace")
    if code:
        raise StrataError(message or f"the process that runs the commands ended with {code}")


def _write(entries: List[Entry], spec: Dict[str, Any], out: Path) -> None:
    blob = write_layer(entries, out / "blob", Compression(spec["compression"]), spec["mtime"])
    size = sum(entry.size for entry in entries)
    members = [{"name": spec["name"], "version": "", "size": size, "files": len(entries)}]
    write_json(out / "layer.json", {**blob.__dict__, "members": members, "owners": spec["owners"]})
    write_json(out / "changes.json", [entry.path for entry in entries])


def _settings(spec: Dict[str, Any]) -> Settings:
    return Settings(
        tuple(Script(**script) for script in spec["scripts"]),
        _files(spec["packaged_tools"]),
        tuple(Tool(name, _program(name)) for name in spec["tools"]),
        tuple(Tool(name, Path(path)) for name in USUAL_TOOLS if (path := _found(name)) is not None),
        _files(spec["files"]),
        _program("bash"),
        spec["environment"],
        spec["timeout"],
        spec["memory"],
        spec["mtime"],
        tuple(
            PackedLayer(Path(os.path.abspath(layer["blob"])), layer["diff_id"])
            for layer in spec["layers"]
        ),
        tuple(
            Entry(path, EntryType.DIRECTORY, mode, uid, gid)
            for path, mode, uid, gid in spec["parents"]
        ),
    )


def _files(named: List[Dict[str, str]]) -> Tuple[Tool, ...]:
    return tuple(Tool(item["name"], Path(item["path"]).absolute()) for item in named)


def _found(name: str) -> Optional[str]:
    return shutil.which(name, path=SEARCH_PATH)


def _program(name: str) -> Path:
    path = _found(name)
    if path is None:
        raise StrataError(
            f"command_tools: there is no {name!r} in {SEARCH_PATH} of the machine that runs the "
            "commands; install it there, or name a target that packages it"
        )
    return Path(path)
