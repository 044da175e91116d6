"""``python -m strata COMMAND SPEC [OUT]``: runs one step of a build.

``python -m strata stream LAYOUT COMPRESSION`` writes an image's archive to standard output,
``python -m strata run-image SPEC [ARGUMENT...]`` runs an image, and ``load-image SPEC`` puts one
into a container engine.

SPEC is a JSON file and OUT a folder (``.`` unless given). Bad input ends with exit code 1 and a
message on standard error.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import List

from strata.errors import StrataError

# Imported when they are used: starting Python costs more than packing a small layer.
COMMANDS = {
    "layer": "strata.commands.layer",
    "customisation": "strata.commands.customisation",
    "flatten": "strata.commands.flatten",
    "interpreter": "strata.commands.interpreter",
    "base": "strata.commands.base",
    "base-lock": "strata.commands.base_lock",
    "fetch-blob": "strata.commands.fetch_blob",
    "scan": "strata.commands.scan",
    "clock": "strata.commands.clock",
    "run-commands": "strata.commands.run_commands",
    "check-namespaces": "strata.commands.check_namespaces",
    "clear-layers": "strata.commands.clear_layers",
    "archive": "strata.commands.archive",
    "sbom": "strata.commands.sbom",
    "provenance": "strata.commands.provenance",
    "debian-lock": "strata.commands.debian_lock",
    "debian-mirrors": "strata.commands.debian_mirrors",
}

#: What people start, with arguments of their own.
PROGRAMS = {
    "stream": "strata.commands.archive",
    "run-image": "strata.commands.run_image",
    "load-image": "strata.commands.load_image",
    "publish": "strata.commands.publish",
}


def main(arguments: List[str]) -> int:
    if arguments[:1] and arguments[0] in PROGRAMS:
        return _run_program(arguments[0], arguments[1:])
    if len(arguments) not in (2, 3) or arguments[0] not in COMMANDS:
        print(f"usage: strata {{{','.join(COMMANDS)}}} SPEC [OUT]", file=sys.stderr)
        return 2
    command = importlib.import_module(COMMANDS[arguments[0]])
    out = Path(arguments[2] if len(arguments) == 3 else ".")
    try:
        command.run(json.loads(Path(arguments[1]).read_text()), out)
    except StrataError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run_program(name: str, arguments: List[str]) -> int:
    program = importlib.import_module(PROGRAMS[name])
    try:
        code: int = program.main(arguments)
        return code
    except StrataError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
