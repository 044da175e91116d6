"""Bytecode, made by the image's own interpreter.

Pycs are hash-based and unchecked (PEP 552): valid without looking at the source, whatever times
the files have. Each object is compiled by an interpreter process of its own with a fixed hash
seed, in a fixed order: what ``marshal`` writes depends on what else the process has compiled.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Sequence

from strata.archive.entry import Entry, EntryType, FileRange
from strata.archive.reader import read_entries
from strata.errors import StrataError

_BYTECODE = re.compile(r"(.*/)?__pycache__/([^/]+)\.cpython-\d+\.pyc")

# Runs in the image's interpreter, with what python3.N-minimal has of the standard library. What is
# imported here is part of the layers' bytes, as said above. Collecting garbage would find none.
_COMPILER = r"""
import gc, py_compile, sys, warnings
gc.disable()
warnings.simplefilter("ignore")
words = iter(sys.stdin.buffer.read().decode().split("\0"))
for source, target, name in zip(words, words, words):
    try:
        py_compile.compile(source, target, name, doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except (py_compile.PyCompileError, ValueError, RecursionError):
        # Templates and files for other Python versions lie about in wheels; pip skips them too.
        pass
"""
# The sources of all that the program above imports.
_IMPORTED = (
    _COMPILER
    + r"""
print(*sorted(m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)),
      sep="\0", end="")
"""
)


def source_of(path: str) -> str:
    """The path of the source that the bytecode at ``path`` is of, or nothing if it is none."""
    match = _BYTECODE.fullmatch(path)
    return f"{match[1]}{match[2]}.py" if match else ""


class Compiler:
    """The image's interpreter, packed at ``archive`` (see ``strata.commands.interpreter``), which
    is unpacked in ``scratch``."""

    def __init__(self, archive: Path, python: str, scratch: Path) -> None:
        self.root = (scratch / "interpreter").resolve()
        _unpack(archive, self.root)
        self._python = python
        self._scratch = scratch
        self._tag = f"cpython-{python.replace('.', '')}"

    def compile(self, entries: Sequence[Entry], name: str) -> List[Entry]:
        """Pyc entries for all Python sources among ``entries``, whose paths are image paths.

        Raises StrataError if the interpreter does not run here.
        """
        jobs = []
        targets: Dict[str, Path] = {}
        folder = self._scratch / f"pyc-{len(list(self._scratch.glob('pyc-*')))}"
        folder.mkdir(parents=True)
        for entry in entries:
            if not entry.path.endswith(".py") or not isinstance(entry.content, FileRange):
                continue
            parent, _, file_name = entry.path.rpartition("/")
            path = f"{parent}/__pycache__/{file_name[:-3]}.{self._tag}.pyc"
            targets[path] = (folder / f"{len(targets)}.pyc").absolute()
            source = str(Path(entry.content.path).absolute())
            jobs.append((source, str(targets[path]), f"/{entry.path}"))
        if not jobs:
            return []
        self._run(_COMPILER, "\0".join(word for job in jobs for word in job), name)
        return [
            Entry(path, EntryType.FILE, 0o644, content=FileRange(file, file.stat().st_size))
            for path, file in targets.items()
            if file.exists()
        ]

    def own_modules(self, name: str) -> List[str]:
        """The paths, in the image, of the sources that are imported to compile anything.

        Raises StrataError if the interpreter does not run here.
        """
        output = self._run(_IMPORTED, "", name).decode()
        files = (Path(file).resolve() for file in output.split("\0") if file.endswith(".py"))
        return [file.relative_to(self.root).as_posix() for file in files]

    def _run(self, program: str, words: str, name: str) -> bytes:
        loaders = sorted((self.root / "usr/lib").glob("*/ld-linux-*.so.*"))
        if not loaders:
            raise StrataError(
                f"{name}: bytecode cannot be compiled, because the image's packages hold no "
                "dynamic loader (libc6); add it to debian_packages, or set bytecode=False"
            )
        libraries = [str(loaders[0].parent), str(self.root / "usr/lib")]
        process = subprocess.run(
            [
                str(loaders[0]),
                "--library-path",
                ":".join(libraries),
                str(self.root / f"usr/bin/python{self._python}"),
                "-sSBc",
                program,
            ],
            input=words.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PYTHONHOME": str(self.root / "usr"), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            check=False,
        )
        if process.returncode:
            output = process.stdout.decode(errors="replace").strip()
            raise StrataError(
                f"{name}: the image's python{self._python} could not compile bytecode here (exit "
                f"code {process.returncode}): {output}\nSet bytecode=False on the layered_image."
            )
        return process.stdout


def _unpack(archive: Path, root: Path) -> None:
    """Unpacks plain files and links; everything in ``archive`` is our own."""
    for entry in read_entries(archive, "the image's interpreter"):
        path = root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.type is EntryType.FILE:
            path.write_bytes(entry.read())
            path.chmod(0o755 if entry.mode & 0o111 else 0o644)
        elif entry.type is EntryType.SYMLINK:
            # An absolute link means the image's root, which this folder stands for.
            target = entry.link
            if target.startswith("/"):
                target = os.path.relpath(root / target.lstrip("/"), path.parent)
            path.symlink_to(target)
