"""The application directory: a virtual environment made of links.

It has the shape that ``site.py`` recognises as a virtual environment (PEP 405), so that
``sys.prefix``, ``.pth`` files and ``importlib.metadata`` behave as in one; nothing is unpacked or
compiled when the container starts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from strata.archive.entry import Entry, directory, symlink
from strata.closure.farm import link_farm
from strata.closure.listing import Listing
from strata.closure.python.wheel import site_packages
from strata.errors import StrataError

_ENTRY_POINT = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")


@dataclass(frozen=True)
class Launcher:
    """The program an application is started by.

    ``entry_point`` is ``module`` or ``module:attribute``; ``script`` names a console script of one
    of the wheels instead. ``args`` come before the caller's, ``env`` is set where it is unset.
    """

    name: str
    entry_point: str = ""
    script: str = ""
    args: Tuple[str, ...] = ()
    env: Tuple[Tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Application:
    """``path`` is where it lies in the image, without a leading slash; ``objects`` names its
    members; ``interpreter`` is the absolute path of the interpreter, ``version`` its version."""

    path: str
    objects: Tuple[str, ...]
    interpreter: str
    version: str
    launcher: Optional[Launcher] = None

    @classmethod
    def from_json(cls, data: Dict[str, Any]) -> "Application":
        launcher = data.get("launcher")
        return cls(
            data["path"],
            tuple(data["objects"]),
            data["interpreter"],
            data["version"],
            Launcher(
                launcher["name"],
                launcher["entry_point"],
                launcher["script"],
                tuple(launcher["args"]),
                tuple((k, v) for k, v in launcher["env"]),
            )
            if launcher
            else None,
        )


def application_entries(application: Application, listings: Mapping[str, Listing]) -> List[Entry]:
    """The entries of an application directory.

    Raises StrataError for a collision between two members, naming both and the path, and for a
    launcher that names a script which no member has.
    """
    members = [listings[name] for name in application.objects]
    minor = ".".join(application.version.split(".")[:2])
    real = ("bin", "lib", f"lib/python{minor}", site_packages(minor))
    entries = link_farm(members, application.path, real)
    base = application.path
    known = {entry.path for entry in entries}

    python = f"/{base}/bin/python"
    entries += [
        directory(path) for path in (base, *(f"{base}/{p}" for p in real)) if path not in known
    ]
    entries.append(symlink(f"{base}/bin/python", application.interpreter))
    entries += [symlink(f"{base}/bin/{name}", "python") for name in ("python3", f"python{minor}")]
    home = application.interpreter.rpartition("/")[0]
    settings = (
        f"home = {home}\ninclude-system-site-packages = false\nversion = {application.version}\n"
    )
    entries.append(Entry(f"{base}/pyvenv.cfg", content=settings.encode()))
    entries += _scripts(application, members, python, {entry.path for entry in entries})
    return entries


def _scripts(
    application: Application, members: Sequence[Listing], python: str, taken: "set[str]"
) -> List[Entry]:
    bodies: Dict[str, Tuple[str, str]] = {}
    for member in members:
        commands = {n: _entry_point_body(member.name, n, v) for n, v in member.scripts.items()}
        for name, body in {**commands, **member.script_files}.items():
            if name in bodies:
                raise StrataError(
                    f"both {bodies[name][0]} and {member.name} install the script {name!r} in "
                    f"/{application.path}/bin; drop one of the two requirements from the pex_binary"
                )
            bodies[name] = (member.name, body)
    launcher = application.launcher
    if launcher is not None:
        bodies[launcher.name] = ("", _launcher_body(application, launcher, bodies))
    entries = []
    for name, (owner, body) in sorted(bodies.items()):
        path = f"{application.path}/bin/{name}"
        if path in taken:
            raise StrataError(
                f"{owner or 'the program of the pex_binary'} would replace /{path}; rename the "
                "pex_binary target, or leave the file out with omit_paths on the layered_image"
            )
        entries.append(Entry(path, mode=0o755, content=f"#!{python}\n{body}".encode()))
    return entries


def _launcher_body(
    application: Application, launcher: Launcher, bodies: Mapping[str, Tuple[str, str]]
) -> str:
    lines = []
    if launcher.env:
        lines.append("import os\n")
        lines += [f"os.environ.setdefault({k!r}, {v!r})\n" for k, v in launcher.env]
    if launcher.args:
        lines.append(f"import sys\nsys.argv[1:1] = {list(launcher.args)!r}\n")
    if launcher.script:
        if launcher.script not in bodies:
            raise StrataError(
                f"the pex_binary {launcher.name!r} starts the console script {launcher.script!r}, "
                f"which none of its wheels has; they have: {', '.join(sorted(bodies)) or 'none'}"
            )
        body = bodies[launcher.script][1]
    else:
        body = _entry_point_body(launcher.name, launcher.name, launcher.entry_point)
    return "".join(lines) + body


def _entry_point_body(owner: str, script: str, entry_point: str) -> str:
    if not _ENTRY_POINT.fullmatch(entry_point):
        raise StrataError(
            f"{owner}: the entry point {entry_point!r} of {script!r} is not 'module' or "
            "'module:attribute'"
        )
    module, _, attribute = entry_point.partition(":")
    if not attribute:
        return f'import runpy\nrunpy.run_module({module!r}, run_name="__main__", alter_sys=True)\n'
    first = attribute.partition(".")[0]
    return f"import sys\nfrom {module} import {first}\nsys.exit({attribute}())\n"
