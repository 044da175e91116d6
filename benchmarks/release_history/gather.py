"""Gathers real versions, sizes and references of what the benchmark's images ask for.

Wheels come from the package index that pip is configured for, as it was at each of ``DATES``, and
Debian packages from the lists of the machine's apt. Needs pip 26 or newer (the index must tell
when files were uploaded) and Debian 12 with main, updates and security; writes ``objects.json``:

    apt-get update
    python3.11 -m venv gather-env && gather-env/bin/pip install -U pip packaging
    PYTHONPATH=benchmarks:src/python gather-env/bin/python -m release_history.gather

Of each wheel only the end is read, where a zip file keeps its table of contents.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

from release_history.repository import BASE_PACKAGES, IMAGES
from strata.closure.debian.deb822 import paragraphs
from strata.closure.python.metadata import PythonPlatform, WheelMetadata, wheel_references
from strata.closure.python.wheel import normalized

#: A release a week, and a look at the index every tenth.
DATES = tuple(
    f"2025-{month:02}-{day:02}T00:00:00Z"
    for month, day in ((1, 6), (3, 17), (5, 26), (8, 4), (10, 13))
)
_PLATFORM = PythonPlatform("3.11.2", "amd64", "2.36")
_TARGET = (
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--abi=abi3",
    "--abi=none",
)
_PLATFORMS = tuple(
    f"--platform=manylinux_2_{minor}_x86_64"
    for minor in (36, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5)
) + ("--platform=manylinux2014_x86_64", "--platform=manylinux2010_x86_64", "--platform=any")
#: How much of a wheel's end is read, and how much if its table of contents is longer.
_TAILS = (1 << 18, 1 << 24)
_OUTPUT = Path(__file__).parent / "objects.json"

#: Sizes in bytes: unpacked, and as the archive that is downloaded. Then references.
Version = Tuple[int, int, Tuple[str, ...]]


class TooShortError(Exception):
    """The table of contents is longer than what was read."""


class Tail(io.RawIOBase):
    """The end of a file at a URL, as if all of it were there."""

    def __init__(self, url: str, length: int) -> None:
        request = urllib.request.Request(url, headers={"Range": f"bytes=-{length}"})
        with urllib.request.urlopen(request, timeout=120) as response:
            self._data = response.read()
            span = response.headers.get("Content-Range", "")
        self.size = int(span.rpartition("/")[2]) if span else len(self._data)
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        start = self._position - (self.size - len(self._data))
        if start < 0:
            raise TooShortError
        chunk = self._data[start : start + len(buffer)]
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)


def wheel_sizes(url: str) -> Tuple[int, int]:
    for length in _TAILS:
        tail = Tail(url, length)
        try:
            with zipfile.ZipFile(tail) as archive:
                return sum(info.file_size for info in archive.infolist()), tail.size
        except TooShortError:
            continue
    raise SystemExit(f"the table of contents of {url} is longer than {_TAILS[-1]} bytes")


def resolved(requirements: Iterable[str], date: str) -> List[Dict[str, Any]]:
    """What pip would install at ``date``: a list of its report's entries."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]
        command += ["--only-binary=:all:", "--target=unused", f"--report={report.name}"]
        command += [f"--uploaded-prior-to={date}", *_TARGET, *_PLATFORMS, *requirements]
        subprocess.run(command, check=True)
        entries: List[Dict[str, Any]] = json.load(report)["install"]
    return entries


def gather_wheels() -> Tuple[List[Dict[str, str]], Dict[str, Dict[str, Version]]]:
    """What was newest at each of ``DATES``, and all versions of that."""
    requirements = sorted({text for image in IMAGES.values() for text in image.wheels})
    urls: Dict[Tuple[str, str], str] = {}
    needed: Dict[Tuple[str, str], Tuple[str, ...]] = {}
    states: List[Dict[str, str]] = []
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda date: resolved(requirements, date), DATES))
    for date, entries in zip(DATES, reports):
        print(f"{date}: {len(entries)} wheels", file=sys.stderr)
        wheels = [
            WheelMetadata(
                normalized(entry["metadata"]["name"]),
                entry["metadata"]["version"],
                tuple(entry["metadata"].get("requires_dist", ())),
            )
            for entry in entries
        ]
        states.append({f"python:{wheel.name}": wheel.version for wheel in wheels})
        references = wheel_references(wheels, requirements, _PLATFORM)
        for wheel, entry in zip(wheels, entries):
            key = wheel.name, wheel.version
            urls.setdefault(key, entry["download_info"]["url"])
            needed.setdefault(key, tuple(f"python:{name}" for name in references[wheel.name]))
    with ThreadPoolExecutor(4) as pool:
        sizes = dict(zip(urls, pool.map(wheel_sizes, urls.values())))
    found: Dict[str, Dict[str, Version]] = {}
    for name, version in urls:
        key = name, version
        found.setdefault(f"python:{name}", {})[version] = (*sizes[key], needed[key])
    return states, found


def gather_packages() -> Tuple[Dict[str, str], Dict[str, Dict[str, Version]]]:
    """Source packages by name, and all versions that apt's lists have of the closure, the oldest
    first."""
    wanted = set(BASE_PACKAGES).union(*(image.packages for image in IMAGES.values()))
    records: Dict[str, List[Dict[str, str]]] = {}
    pending = sorted(wanted)
    asked = set(pending)
    while pending:
        command = ["apt-cache", "show", "--all-versions", *pending]
        shown = subprocess.run(command, check=False, capture_output=True, text=True)
        # Nothing but virtual packages is the end, not an error.
        if shown.returncode and "No packages found" not in shown.stderr:
            raise SystemExit(shown.stderr)
        found: Dict[str, List[Dict[str, str]]] = {}
        for record in paragraphs(shown.stdout):
            found.setdefault(record["package"], []).append(record)
        records.update(found)
        names = {name for group in found.values() for record in group for name in _depends(record)}
        pending = sorted(name for name in names if name not in records and name not in asked)
        asked.update(pending)
    sources: Dict[str, str] = {}
    result: Dict[str, Dict[str, Version]] = {}
    for name, group in sorted(records.items()):
        sources[f"debian:{name}"] = group[0].get("source", name).partition(" ")[0]
        for record in sorted(_distinct(group), key=_VersionOrder):
            references = tuple(
                f"debian:{target}" for target in _depends(record) if target in records
            )
            result.setdefault(f"debian:{name}", {})[record["version"]] = (
                int(record.get("installed-size", "0")) * 1024,
                int(record["size"]),
                references,
            )
    return sources, result


class _VersionOrder:
    """Orders records as dpkg orders their versions."""

    def __init__(self, record: Dict[str, str]) -> None:
        self._version = record["version"]

    def __lt__(self, other: "_VersionOrder") -> bool:
        command = ["dpkg", "--compare-versions", self._version, "lt", other._version]
        return subprocess.run(command, check=False).returncode == 0


def _distinct(records: List[Dict[str, str]]) -> List[Dict[str, str]]:
    # Installed packages are listed without a size of an archive.
    return list({record["version"]: record for record in records if "size" in record}.values())


def _depends(record: Dict[str, str]) -> List[str]:
    """The first alternative of each dependency, without those that only configure a system."""
    names: List[str] = []
    for field in ("pre-depends", "depends"):
        for relation in re.split(r"\s*,\s*", record.get(field, "")):
            match = re.match(r"[a-z0-9][a-z0-9+.-]*", relation)
            if match and match[0] not in names and match[0] != record["package"]:
                names.append(match[0])
    return names


def main() -> None:
    states, wheels = gather_wheels()
    sources, packages = gather_packages()
    objects = {**packages, **wheels}
    lines = [f"{json.dumps(name)}: {json.dumps(objects[name])}" for name in sorted(objects)]
    _OUTPUT.write_text(
        f'{{"states": {json.dumps(states, sort_keys=True)},\n'
        f'"sources": {json.dumps(sources, sort_keys=True)},\n'
        '"objects": {\n' + ",\n".join(lines) + "\n}}\n",
        encoding="utf-8",
    )
    sizes = [next(iter(versions.values()))[0] for versions in objects.values()]
    print(f"{len(objects)} objects, {sum(sizes) / 1e9:.2f} GB", file=sys.stderr)


if __name__ == "__main__":
    main()
