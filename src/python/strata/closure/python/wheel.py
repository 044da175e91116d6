"""Canonical wheels: an installed wheel's files, independent of who installed it and how.

Pex unpacks a wheel into a directory that holds the content of ``site-packages`` and, below
``.prefix``, what belongs elsewhere (scripts, headers, data). Since 2.60.2 it keeps the data below
``.prefix/data``, and what a wheel says is for the other kind of ``site-packages`` ("purelib" or
"platlib", which are one place here) below ``.prefix`` too. What a wheel says is for the kind that
its root is of, newer versions (2.97.1, not 2.1.137) lose: that is found in ``RECORD`` and refused.
What differs between versions of Pex, pip and hosts is dropped or made anew here, by the
specifications "Binary distribution format" and "Recording installed projects" of the Python
packaging user guide.
"""

from __future__ import annotations

import base64
import configparser
import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

from strata.archive.entry import Entry, checked_path
from strata.closure.manifest import ManifestFile
from strata.errors import StrataError

_STASH = ".prefix/"
_LAYOUT = ".layout.json"
# A key of the layout file since the stash has a folder for each of these.
_SCHEMES_KEY = "sys_path_entries"
_LIBRARY_SCHEMES = ("platlib", "purelib")
_INSTALLER_FILES = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
_PYTHON_LINE = re.compile(rb"#!\s*python[w]?[^\n]*\n")
# What Pex puts where a version belongs in ``include/site/python3.11`` depends on its own version.
_INCLUDE = re.compile(r"include/site/python[^/]+/")


def normalized(project: str) -> str:
    """A project name as the "Names and normalization" specification writes it."""
    return re.sub(r"[-_.]+", "-", project).lower()


@dataclass
class CanonicalWheel:
    """``files`` are entries with paths relative to the object's prefix (``lib/python3.11/…``)."""

    entries: List[Entry] = field(default_factory=list)
    hashes: Dict[str, str] = field(default_factory=dict)
    scripts: Dict[str, str] = field(default_factory=dict)
    script_files: Dict[str, str] = field(default_factory=dict)


def site_packages(python: str) -> str:
    """``python`` is a minor version such as ``3.11``."""
    return f"lib/python{python}/site-packages"


def canonical_wheel(
    name: str, files: Sequence[ManifestFile], source: Path, python: str
) -> CanonicalWheel:
    """Raises StrataError if ``files`` is no installed wheel, lacks files that its installer lost,
    or holds a name that cannot be stored.

    ``name`` is the object's, for messages; ``source`` is where the files are.
    """
    info = _dist_info(name, files)
    _check_nothing_is_lost(name, files, source, info)
    libraries = site_packages(python)
    schemes = _has_schemes(files, source)
    wheel = CanonicalWheel()
    wheel.scripts = _entry_points(files, source, info)
    record: List[Tuple[str, str, int]] = []
    for file in files:
        path = checked_path(file.path, name)
        if path == _LAYOUT or _is_dropped(path, info):
            continue
        if path.startswith(_STASH):
            moved = _from_stash(path[len(_STASH) :], python, schemes)
            if moved is None:
                continue
            if moved.startswith("bin/"):
                script = moved[4:]
                if script in wheel.scripts:
                    continue
                body = _python_script(file, source)
                if body is not None:
                    wheel.script_files[script] = body
                    continue
            placed = moved
            mode = 0o755 if moved.startswith("bin/") else None
        else:
            placed = f"{libraries}/{path}"
            mode = None
        wheel.entries.append(file.entry(placed, source, mode))
        if file.is_file:
            wheel.hashes[placed] = file.sha256
            record.append((_relative(placed, libraries), file.sha256, file.size))
    body_text = "".join(_record_lines(record, info))
    wheel.entries.append(Entry(f"{libraries}/{info}/RECORD", content=body_text.encode()))
    return wheel


def _dist_info(name: str, files: Sequence[ManifestFile]) -> str:
    found = sorted(
        {
            file.path.partition("/")[0]
            for file in files
            if file.path.endswith(".dist-info/METADATA") and file.path.count("/") == 1
        }
    )
    if len(found) != 1:
        raise StrataError(
            f"{name}: expected one .dist-info directory in the unpacked wheel, found "
            f"{', '.join(found) or 'none'}; rebuild the wheel"
        )
    return found[0]


def _check_nothing_is_lost(
    name: str, files: Sequence[ManifestFile], source: Path, info: str
) -> None:
    present = {file.path for file in files}
    if f"{info}/RECORD" not in present:
        return
    record = (source / info / "RECORD").read_text(encoding="utf-8")
    data = f"{info[: -len('.dist-info')]}.data/"
    # Rows that name this folder still are of files that were not moved to where they belong.
    if data not in record:
        return
    for row in csv.reader(record.splitlines()):
        path = row[0] if row else ""
        if not path.startswith(data):
            continue
        scheme, _, rest = path[len(data) :].partition("/")
        if scheme in _LIBRARY_SCHEMES and not present & {rest, f"{_STASH}{scheme}/{rest}"}:
            raise StrataError(
                f"{name}: {rest} is missing. The wheel has it as {path}, and the Pex of this "
                "release of Pants leaves out what is in that folder, in PEX files too; rebuild the "
                f"wheel with {rest} at its root"
            )


def _is_dropped(path: str, info: str) -> bool:
    top, _, rest = path.partition("/")
    if top == info and rest in _INSTALLER_FILES:
        return True
    return top.endswith(".pex-info") or "__pycache__" in path.split("/")


def _has_schemes(files: Sequence[ManifestFile], source: Path) -> bool:
    """Whether the stash has a folder for each installation scheme, as of Pex 2.60.2."""
    if not any(file.path == _LAYOUT for file in files):
        return False
    return _SCHEMES_KEY in json.loads((source / _LAYOUT).read_text(encoding="utf-8"))


def _from_stash(path: str, python: str, schemes: bool) -> "str | None":
    """Where a stashed file belongs below the prefix; None for Pex' placeholder directory."""
    if schemes:
        scheme, _, rest = path.partition("/")
        if scheme == "data":
            return rest or None
        if scheme in _LIBRARY_SCHEMES:
            return f"{site_packages(python)}/{rest}" if rest else None
    elif path == "lib" or path.startswith("lib/pythonX.Y"):
        return None
    return _INCLUDE.sub(f"include/site/python{python}/", path, count=1)


def _python_script(file: ManifestFile, source: Path) -> "str | None":
    """The body of a script whose interpreter line is the wheel format's placeholder."""
    if not file.is_file or file.size > 1 << 20:
        return None
    content = (source / file.path).read_bytes()
    match = _PYTHON_LINE.match(content)
    return content[match.end() :].decode() if match else None


def _entry_points(files: Sequence[ManifestFile], source: Path, info: str) -> Dict[str, str]:
    """Console and GUI scripts, by the "Entry points" specification."""
    path = f"{info}/entry_points.txt"
    if not any(file.path == path for file in files):
        return {}
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string((source / path).read_text(encoding="utf-8"), source=path)
    scripts: Dict[str, str] = {}
    for group in ("console_scripts", "gui_scripts"):
        if parser.has_section(group):
            for script, value in parser.items(group):
                scripts[script] = value.partition("[")[0].strip()
    return dict(sorted(scripts.items()))


def _relative(placed: str, libraries: str) -> str:
    if placed.startswith(f"{libraries}/"):
        return placed[len(libraries) + 1 :]
    return "../../../" + placed


def _record_lines(record: List[Tuple[str, str, int]], info: str) -> Iterator[str]:
    rows = []
    for path, sha256, size in record:
        digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
        rows.append((path, f"sha256={digest}", str(size)))
    rows.append((f"{info}/RECORD", "", ""))
    for path, digest, length in sorted(rows):
        quoted = '"' + path.replace('"', '""') + '"' if set(path) & set(',"\n') else path
        yield f"{quoted},{digest},{length}\n"
