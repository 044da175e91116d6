"""Programs that commands bring along: copied with all they load, so that any root can run them."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from strata.errors import StrataError

#: Where tools are in a root folder, while commands run.
FOLDER = ".strata"
_LISTED = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*$")
_ELF = b"\x7fELF"
_PROGRAM_INTERPRETER = 3


@dataclass(frozen=True)
class Program:
    """A program outside of the image: ``loader`` is its dynamic loader, if it has one, and
    ``libraries`` are the files that the loader finds for it, by name."""

    path: Path
    loader: Optional[Path]
    libraries: Tuple[Tuple[str, Path], ...]


def find_program(path: Path) -> Program:
    """Raises StrataError for what is no program of this machine."""
    loader = _loader(path)
    if loader is None:
        return Program(path, None, ())
    result = subprocess.run(
        [str(loader), "--list", str(path)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise StrataError(f"{path} cannot be run here: {result.stderr.strip()}")
    libraries = {
        match[1] or os.path.basename(match[2]): Path(match[2])
        for match in _LISTED.finditer(result.stdout)
    }
    return Program(path, loader, tuple(sorted(libraries.items())))


def _loader(path: Path) -> Optional[Path]:
    """The program's PT_INTERP (System V ABI, "Program Interpreter"); None for static programs and
    scripts."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != _ELF or head[4] != 2:
            return None
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
        for index in range(count):
            kind, _, where, _, _, length = struct.unpack_from("<IIQQQQ", table, index * size)
            if kind == _PROGRAM_INTERPRETER:
                file.seek(where)
                return Path(os.fsdecode(file.read(length).rstrip(b"\0")))
    return None


class ToolFolder:
    """A folder that becomes ``/.strata`` in a root. ``bin`` and ``host`` are for PATH.

    ``host`` is for roots that show this machine's programs. In others a program needs the libraries
    of this machine too: it is started through its own loader, which looks for them in ``lib``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._functions: Dict[str, str] = {}
        for name in ("bin", "host", "lib", "exec", "files"):
            (folder / name).mkdir(parents=True)

    def add_file(self, name: str, source: Path) -> None:
        """A packaged tool: a script or a program that runs in the image by itself."""
        target = self.folder / "bin" / name
        # A copy: the file may be shared with others, and commands are root.
        shutil.copyfile(source, target)
        target.chmod(0o755)

    def add_data(self, name: str, source: Path) -> None:
        """A file for commands to read, at ``/.strata/files/<name>``."""
        shutil.copyfile(source, self.folder / "files" / name)

    def link_program(self, name: str, path: Path) -> None:
        """A program of this machine, for roots that show it."""
        (self.folder / "host" / name).symlink_to(path)

    def add_program(self, name: str, path: Path) -> None:
        """A program of this machine, for roots that have this folder and not its libraries."""
        start = " ".join(self.copy_program(name, path))
        shim = self.folder / "bin" / name
        shim.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        shim.chmod(0o755)
        self._functions[name] = f'{name}() {{ {start} "$@"; }}'

    def copy_program(self, name: str, path: Path) -> List[str]:
        """A program of this machine, but not on PATH; returns how to start it."""
        program = find_program(path)
        target = self.folder / "exec" / name
        shutil.copyfile(program.path, target)
        target.chmod(0o755)
        start = [f"/{FOLDER}/exec/{name}"]
        if program.loader is not None:
            for library, source in (*program.libraries, (program.loader.name, program.loader)):
                copy = self.folder / "lib" / os.path.basename(library)
                if not copy.exists():
                    shutil.copyfile(source, copy)
                    copy.chmod(0o755)
            loader = f"/{FOLDER}/lib/{program.loader.name}"
            start = [loader, "--library-path", f"/{FOLDER}/lib", *start]
        return start

    def functions(self) -> str:
        """Bash functions for the programs: shims need a shell that the image may not have.

        ``STRATA_TOOLS`` names them.
        """
        found = {name: text for name, text in sorted(self._functions.items()) if _NAME.match(name)}
        return "\n".join([f"STRATA_TOOLS='{' '.join(found)}'", *found.values()])
