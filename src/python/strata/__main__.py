"""``python -m strata COMMAND SPEC [OUT]``: runs one step of a build.

``python -m strata stream LAYOUT COMPRESSION`` writes an image's archive to standard output.

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
    "clock": "strata.commands.clock",
    "run-commands": "strata.commands.run_commands",
    "check-namespaces": "strata.commands.check_namespaces",
    "archive": "strata.commands.archive",
    "debian-lock": "strata.commands.debian_lock",
    "debian-mirrors": "strata.commands.debian_mirrors",
}


def main(arguments: List[str]) -> int:
    if arguments[:1] == ["stream"]:
        return _stream(arguments[1:])
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


def _stream(arguments: List[str]) -> int:
    from strata.commands.archive import stream

    try:
        return stream(arguments)
    except StrataError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
