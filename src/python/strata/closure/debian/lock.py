"""The lock of a ``debian_packages`` target.

A TOML file that says which packages, in which versions, an image gets. It names no mirror: pool
paths are relative to an archive's root, and each machine knows its own mirrors.

A lock of one architecture has format 1, with one ``package`` table for each package. One of several
has format 2: what they have in common comes first, and each architecture has tables of its own
(``amd64.package``), since versions and closures may differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

from strata.errors import StrataError
from strata.toml_text import load_toml, quoted, quoted_list, strings, typed

_ONE, _SEVERAL = 1, 2
_KEYS = {"format", "essential", "suites", "components", "requested"}
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Debian policy 5.6.1, 5.6.8 and 5.6.12.
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"([0-9]+:)?[0-9A-Za-z.+~:-]+")
# What a URL can hold as it is, save for the parts "." and "..".
_PATH = re.compile(r"[0-9A-Za-z+~:_.%=@-]+(/[0-9A-Za-z+~:_.%=@-]+)*")


@dataclass(frozen=True, order=True)
class LockedPackage:
    """One package. ``path`` is below the archive's root; ``size`` is the .deb's and
    ``installed_size`` what it unpacks to, both in bytes; ``depends`` are names in the same lock."""

    name: str
    version: str
    architecture: str
    suite: str
    path: str
    size: int
    sha256: str
    installed_size: int
    depends: Tuple[str, ...]


@dataclass(frozen=True)
class DebianLock:
    """``requested`` are the packages that were asked for; the rest are what they depend on, and
    with ``essential`` the essential packages."""

    architecture: str
    suites: Tuple[str, ...]
    components: Tuple[str, ...]
    requested: Tuple[str, ...]
    packages: Tuple[LockedPackage, ...]
    essential: bool = False


def parse_locks(text: str, origin: str) -> Tuple[DebianLock, ...]:
    """What a lock file has for each of its architectures, in its order.

    Raises StrataError, naming ``origin`` and the key, for anything but a valid lock.
    """
    data = load_toml(text, origin)
    form = data.get("format")
    if type(form) is not int or form not in (_ONE, _SEVERAL):
        raise StrataError(f"{origin}: 'format' must be {_ONE} or {_SEVERAL}, not {form!r}")
    if form == _ONE:
        architectures: Tuple[str, ...] = (typed(data, "architecture", str, origin),)
        keys = {"architecture", "package"}
        rows = [data.get("package", [])]
    else:
        architectures = strings(data, "architectures", origin)
        wrong = [name for name in architectures if not _ARCHITECTURE.fullmatch(name)]
        if wrong or not architectures or len(set(architectures)) < len(architectures):
            raise StrataError(
                f"{origin}: 'architectures' must be names of architectures, each once, not "
                f"{list(architectures)}"
            )
        keys = {"architectures", *architectures}
        rows = [_architecture_rows(data, name, origin) for name in architectures]
    unknown = sorted(set(data) - _KEYS - keys)
    if unknown:
        raise StrataError(f"{origin}: unknown key {unknown[0]!r}")
    return tuple(
        _checked(data, architecture, found, origin)
        for architecture, found in zip(architectures, rows)
    )


def _architecture_rows(data: Mapping[str, Any], architecture: str, origin: str) -> Any:
    table = data.get(architecture, {})
    if not isinstance(table, dict) or set(table) - {"package"}:
        raise StrataError(f"{origin}: {architecture!r} must hold 'package' tables and nothing else")
    return table.get("package", [])


def _checked(data: Mapping[str, Any], architecture: str, rows: Any, origin: str) -> DebianLock:
    if not isinstance(rows, list):
        raise StrataError(f"{origin}: 'package' must be a list of tables")
    packages = tuple(sorted(_package(row, origin) for row in rows))
    names = [package.name for package in packages]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            raise StrataError(f"{origin}: the package {name!r} occurs twice")
    known = set(names)
    lock = DebianLock(
        architecture,
        strings(data, "suites", origin),
        strings(data, "components", origin),
        strings(data, "requested", origin),
        packages,
        typed(data, "essential", bool, origin) if "essential" in data else False,
    )
    for name in lock.requested:
        if name not in known:
            raise StrataError(
                f"{origin}: 'requested' names {name!r}, which is not in the lock for {architecture}"
            )
    for package in packages:
        where = f"{origin}: package {package.name!r}"
        if package.architecture not in (lock.architecture, "all"):
            raise StrataError(
                f"{where}: 'architecture' must be {lock.architecture!r} or 'all', not "
                f"{package.architecture!r}"
            )
        if package.suite not in lock.suites:
            raise StrataError(
                f"{where}: 'suite' is {package.suite!r}, which is not one of 'suites'"
            )
        for name in package.depends:
            if name not in known:
                raise StrataError(
                    f"{origin}: 'depends' of {package.name!r} names {name!r}, which is not in the "
                    "lock"
                )
    return lock


def _package(row: Any, origin: str) -> LockedPackage:
    if not isinstance(row, dict):
        raise StrataError(f"{origin}: 'package' must be a list of tables")
    origin = f"{origin}: package {row.get('name')!r}"
    unknown = sorted(set(row) - {item.name for item in fields(LockedPackage)})
    if unknown:
        raise StrataError(f"{origin}: unknown key {unknown[0]!r}")
    package = LockedPackage(
        name=typed(row, "name", str, origin),
        version=typed(row, "version", str, origin),
        architecture=typed(row, "architecture", str, origin),
        suite=typed(row, "suite", str, origin),
        path=typed(row, "path", str, origin),
        size=typed(row, "size", int, origin),
        sha256=typed(row, "sha256", str, origin),
        installed_size=typed(row, "installed_size", int, origin),
        depends=strings(row, "depends", origin),
    )
    if not PACKAGE_NAME.fullmatch(package.name):
        raise StrataError(f"{origin}: 'name' is not a package name")
    if not _VERSION.fullmatch(package.version):
        raise StrataError(f"{origin}: 'version' is not a package version")
    if not _SHA256.fullmatch(package.sha256):
        raise StrataError(f"{origin}: 'sha256' must be 64 hexadecimal digits")
    if not _PATH.fullmatch(package.path) or {".", ".."} & set(package.path.split("/")):
        raise StrataError(f"{origin}: 'path' must be relative and without '..'")
    if package.size <= 0:
        raise StrataError(f"{origin}: 'size' must be positive")
    if package.installed_size < 0:
        raise StrataError(f"{origin}: 'installed_size' must not be negative")
    if list(package.depends) != sorted(set(package.depends) - {package.name}):
        raise StrataError(f"{origin}: 'depends' must be sorted names of other packages, each once")
    return package


def render_locks(locks: Sequence[DebianLock], address: str = "") -> str:
    """The text of a lock file: one table per package, sorted, so that changes make small diffs.

    ``locks`` differ in nothing but their architectures and packages.
    """
    command = f"pants generate-debian-lockfiles {address}".rstrip()
    first = locks[0]
    several = len(locks) > 1
    architectures = tuple(lock.architecture for lock in locks)
    lines = [
        f"# Written by `{command}`. Do not edit.",
        f"format = {_SEVERAL if several else _ONE}",
        f"architectures = {quoted_list(architectures)}"
        if several
        else f"architecture = {quoted(first.architecture)}",
        f"suites = {quoted_list(first.suites)}",
        f"components = {quoted_list(first.components)}",
        f"requested = {quoted_list(first.requested)}",
    ]
    if first.essential:
        lines.append("essential = true")
    for lock in locks:
        table = f"{lock.architecture}.package" if several else "package"
        for package in sorted(lock.packages):
            lines += ["", f"[[{table}]]"]
            for item in fields(package):
                value = getattr(package, item.name)
                if isinstance(value, tuple):
                    text = quoted_list(value)
                else:
                    text = str(value) if isinstance(value, int) else quoted(value)
                lines.append(f"{item.name} = {text}")
    return "\n".join(lines) + "\n"


def stale_reason(
    locks: Sequence[DebianLock],
    requested: Iterable[str],
    architectures: Iterable[str],
    suites: Iterable[str],
    components: Iterable[str],
    essential: bool = False,
) -> Optional[str]:
    """Why a lock file does not answer a request, or None if it does."""
    lock = locks[0]
    reasons: List[Tuple[str, Any, Any]] = [
        ("packages", sorted(lock.requested), sorted(requested)),
        ("architectures", [item.architecture for item in locks], list(architectures)),
        ("suites", list(lock.suites), list(suites)),
        ("components", list(lock.components), list(components)),
    ]
    if lock.essential != essential:
        which = ("without", "with")
        return (
            f"it was made {which[lock.essential]} essential packages, and the target needs one "
            f"{which[essential]} them"
        )
    for what, locked, wanted in reasons:
        if locked != wanted:
            return f"it was made for {what} {locked}, and the target says {wanted}"
    return None
