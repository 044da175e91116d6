"""Finds the CPython 3.9 that Pants 2.17 runs on."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pants_launcher.errors import LauncherError
from pants_launcher.locations import Locations, home

# In a virtual environment, the interpreter that it was made with: the former may go away any time.
_PROBE = """
import importlib.util, json, os, sys
path = sys.executable
if sys.prefix != sys.base_prefix:
    path = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
    if not os.access(path, os.X_OK):
        path = os.path.realpath(sys.executable)
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "path": path,
    "missing": [n for n in ("ensurepip", "ssl", "venv", "zlib") if not importlib.util.find_spec(n)],
}))
"""
_PROBE_SECONDS = 60


@dataclass(frozen=True)
class Interpreter:
    """A CPython 3.9 that can make virtual environments."""

    path: str
    version: str


@dataclass
class SearchResult:
    """What a search came to; ``rejected`` has a line for each file that was no such interpreter."""

    interpreter: Interpreter | None = None
    rejected: list[str] = field(default_factory=list)


class Unusable(Exception):
    """Why a file is not an interpreter that Pants can run on."""


def find(env: Mapping[str, str], locations: Locations) -> SearchResult:
    """The first usable interpreter, in the documented order.

    An explicit ``PANTS_PYTHON`` that can't be used is an error, not a reason to take another one.
    """
    explicit = env.get("PANTS_PYTHON")
    if explicit:
        try:
            return SearchResult(probe(explicit))
        except Unusable as error:
            raise LauncherError(
                f"PANTS_PYTHON is set to {explicit}, which {error}.\n"
                "Set it to the path of a CPython 3.9, or unset it to have one searched for."
            ) from error
    result = SearchResult()
    for path in _candidates(env, locations):
        try:
            result.interpreter = probe(path)
            break
        except Unusable as error:
            result.rejected.append(f"{path} {error}")
    return result


def probe(path: str) -> Interpreter:
    """Asks the file at ``path`` what it is; raises :class:`Unusable` unless it is wanted."""
    if not os.path.isfile(path):
        raise Unusable("does not exist" if not os.path.exists(path) else "is not a file")
    if not os.access(path, os.X_OK):
        raise Unusable("is not executable")
    try:
        output = subprocess.run(
            [os.path.abspath(path), "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=True,
        ).stdout
        facts = json.loads(output.decode("utf-8"))
        version = tuple(facts["version"])
        implementation, real_path, missing = (
            facts["implementation"],
            facts["path"],
            facts["missing"],
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Unusable(f"fails when it is run: {said[0] if said else error}") from error
    except subprocess.TimeoutExpired as error:
        raise Unusable(f"does not answer within {_PROBE_SECONDS} seconds") from error
    except OSError as error:
        raise Unusable(f"can't be run: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable("does not behave like a Python interpreter") from error
    dotted = ".".join(map(str, version))
    if implementation != "cpython" or version[:2] != (3, 9):
        name = {"cpython": "CPython", "pypy": "PyPy"}.get(implementation, implementation)
        raise Unusable(f"is {name} {dotted}, not CPython 3.9")
    if missing:
        raise Unusable(
            f"is CPython {dotted} without the standard modules {', '.join(missing)} "
            "(on Debian and Ubuntu: install python3.9-venv)"
        )
    return Interpreter(real_path, dotted)


def _candidates(env: Mapping[str, str], locations: Locations) -> Iterator[str]:
    """Every file that may be the interpreter, in the order of preference, each once."""
    seen = set()
    for source in (_on_path(env), _of_pyenv(env), _of_uv(env, locations)):
        for path in source:
            if path not in seen and os.path.lexists(path):
                seen.add(path)
                yield path


def _on_path(env: Mapping[str, str]) -> Iterator[str]:
    for folder in env.get("PATH", os.defpath).split(os.pathsep):
        yield os.path.join(os.path.abspath(folder), "python3.9")


def _of_pyenv(env: Mapping[str, str]) -> Iterator[str]:
    for root in _pyenv_roots(env):
        for folder in newest_first(glob.glob(os.path.join(glob.escape(root), "versions", "3.9*"))):
            yield os.path.join(folder, "bin", "python")


def _pyenv_roots(env: Mapping[str, str]) -> Iterator[str]:
    if env.get("PYENV_ROOT"):
        yield env["PYENV_ROOT"]
    command = shutil.which("pyenv", path=env.get("PATH", os.defpath))
    if command:
        answer = subprocess.run(
            [command, "root"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        root = answer.stdout.decode("utf-8", "surrogateescape").strip()
        if answer.returncode == 0 and root:
            yield root
    yield os.path.join(home(env), ".pyenv")


def _of_uv(env: Mapping[str, str], locations: Locations) -> Iterator[str]:
    data_home = env.get("XDG_DATA_HOME") or os.path.join(home(env), ".local", "share")
    for root in (
        env.get("UV_PYTHON_INSTALL_DIR"),
        os.path.join(data_home, "uv", "python"),
        locations.pythons,
    ):
        if root:
            yield from in_uv_folder(root)


def in_uv_folder(root: str) -> Iterator[str]:
    """Every CPython 3.9 in a folder that uv installs interpreters into, the newest patch first."""
    for folder in newest_first(glob.glob(os.path.join(glob.escape(root), "cpython-3.9*"))):
        yield os.path.join(folder, "bin", "python3.9")


def newest_first(folders: list[str]) -> list[str]:
    """Orders folders that are named after a version, such as ``3.9.18`` or ``cpython-3.9.18-...``.

    Those that name no patch version (links to another one, as a rule) come last.
    """

    def patch(folder: str) -> tuple[int, str]:
        match = re.search(r"3\.9\.(\d+)", os.path.basename(folder))
        return (int(match.group(1)) if match else -1, folder)

    return sorted(folders, key=patch, reverse=True)
