"""Resolves Debian packages with apt itself, in a private state folder.

apt checks the archive's signatures, as everywhere. Of the machine it uses the keyrings and the
settings of how to fetch (proxies), and neither its sources nor what it has installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from strata.closure.debian.lock import DebianLock, LockedPackage
from strata.closure.debian.mirror import mirrors_for
from strata.errors import StrataError

_DEFAULT_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_RELATION = re.compile(r"([a-z0-9][a-z0-9+.-]*)")


def resolve(spec: Mapping[str, Any]) -> DebianLock:
    """The lock of ``spec``: ``packages``, ``suites``, ``components``, ``architecture``, and
    optionally ``mirrors`` (URLs by suite) and ``keyring`` (a path).

    Raises StrataError where apt is missing or fails, in apt's own words, and where no mirror is
    known for a suite.
    """
    with tempfile.TemporaryDirectory(prefix="apt-") as state:
        apt = _Apt(Path(state), spec["architecture"])
        sources = apt.write_sources(spec)
        apt.update(spec["suites"])
        chosen = apt.closure(spec["packages"], spec["suites"])
        records = apt.records(chosen)
    names = {name for name, _ in chosen}
    packages = [_locked(record, names, _provided(records), sources) for record in records.values()]
    return DebianLock(
        spec["architecture"],
        tuple(spec["suites"]),
        tuple(spec["components"]),
        tuple(sorted(spec["packages"])),
        tuple(sorted(packages)),
    )


class _Apt:
    """apt in a state folder of its own."""

    def __init__(self, state: Path, architecture: str) -> None:
        self._state = state
        for folder in ("lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (state / folder).mkdir(parents=True)
        (state / "status").touch()
        (state / "extended_states").touch()
        self._options = [
            f"Dir::State={state}",
            f"Dir::State::status={state}/status",
            f"Dir::State::lists={state}/lists",
            f"Dir::State::extended_states={state}/extended_states",
            f"Dir::Cache={state}/cache",
            f"Dir::Etc::sourcelist={state}/etc/sources.list",
            f"Dir::Etc::sourceparts={state}/etc/no-sources.d",
            f"Dir::Etc::preferences={state}/etc/preferences",
            f"Dir::Etc::preferencesparts={state}/etc/preferences.d",
            f"APT::Architecture={architecture}",
            f"APT::Architectures={architecture}",
            # Only privileged users may become apt's own user, and it could not read the folder.
            "APT::Sandbox::User=",
            "APT::Get::List-Cleanup=false",
            "APT::Install-Recommends=false",
            "Acquire::Languages=none",
            "Acquire::Retries=3",
            "pkgCacheFile::Essential=none",
        ]

    def write_sources(self, spec: Mapping[str, Any]) -> Dict[str, Tuple[str, ...]]:
        """Writes the sources of all suites; returns each suite's mirrors."""
        components = " ".join(spec["components"])
        result: Dict[str, Tuple[str, ...]] = {}
        lines = []
        for suite in spec["suites"]:
            explicit = (spec.get("mirrors") or {}).get(suite)
            keyring = spec.get("keyring") or ""
            if explicit:
                mirrors = [(uri, keyring) for uri in explicit]
            else:
                mirrors = [(m.uri, keyring or m.signed_by) for m in mirrors_for(suite)]
            if not mirrors:
                raise StrataError(
                    f"no mirror is known for the suite {suite!r}: add it to the machine's apt "
                    "configuration, or set [layered-images].debian_mirrors"
                )
            result[suite] = tuple(uri for uri, _ in mirrors)
            # One mirror is enough to resolve from; the others hold the same.
            uri, signed_by = mirrors[0]
            signed_by = signed_by or _DEFAULT_KEYRING
            lines.append(f"deb [signed-by={signed_by}] {uri} {suite} {components}\n")
        (self._state / "etc/sources.list").write_text("".join(lines))
        return result

    def update(self, suites: Sequence[str]) -> None:
        code, output = self._run("apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any")
        if code:
            raise StrataError(f"apt cannot fetch the suites {', '.join(suites)}:\n{output.strip()}")

    def closure(self, packages: Sequence[str], suites: Sequence[str]) -> List[Tuple[str, str]]:
        """Names and versions of ``packages`` and all that they depend on."""
        code, output = self._run("apt-get", "-q", "-s", "-V", "install", *packages)
        if code:
            raise StrataError(
                f"apt cannot resolve {', '.join(packages)} from {', '.join(suites)}:\n"
                f"{output.strip()}"
            )
        found = re.findall(r"^Inst (\S+) \((\S+) ", output, re.MULTILINE)
        return sorted((name.partition(":")[0], version) for name, version in found)

    def records(self, chosen: Iterable[Tuple[str, str]]) -> Dict[str, Dict[str, str]]:
        """The control fields of packages in the signed metadata, by name."""
        wanted = [f"{name}={version}" for name, version in chosen]
        code, output = self._run("apt-cache", "-q", "show", *wanted)
        if code:
            raise StrataError(f"apt-cache failed:\n{output.strip()}")
        result: Dict[str, Dict[str, str]] = {}
        for stanza in re.split(r"\n\n+", output.strip()):
            fields = dict(re.findall(r"^([A-Za-z0-9-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
            if "Package" in fields and "Filename" in fields:
                result.setdefault(fields["Package"], fields)
        for name, _ in chosen:
            if name not in result:
                raise StrataError(f"apt knows no file for the package {name!r}")
        suites = self._suites(wanted)
        for name, fields in result.items():
            fields["_suite"] = suites.get(name, "")
        return result

    def _suites(self, wanted: Sequence[str]) -> Dict[str, str]:
        """Which suite each package comes from, by the name it has in the sources."""
        names = [item.partition("=")[0] for item in wanted]
        versions = dict(item.split("=", 1) for item in wanted)
        _, output = self._run("apt-cache", "-q", "madison", *names)
        result: Dict[str, str] = {}
        for line in output.splitlines():
            columns = [column.strip() for column in line.split("|")]
            if len(columns) == 3 and versions.get(columns[0]) == columns[1]:
                parts = columns[2].split()
                if len(parts) > 1 and parts[-1] == "Packages":
                    result.setdefault(columns[0], parts[1].partition("/")[0])
        return result

    def _run(self, *command: str) -> Tuple[int, str]:
        argv = [command[0]]
        for option in self._options:
            argv += ["-o", option]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        environment["PATH"] = environment.get("PATH") or "/usr/bin:/bin:/usr/sbin:/sbin"
        try:
            process = subprocess.run(
                argv + list(command[1:]),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                check=False,
            )
        except FileNotFoundError:
            raise StrataError(
                f"{command[0]} is not installed: Debian locks are resolved by apt, on Debian, on a "
                "distribution made from it, or in a container of one. Building images from "
                "existing locks does not need it."
            ) from None
        return process.returncode, process.stdout.decode(errors="replace")


def _provided(records: Mapping[str, Mapping[str, str]]) -> Dict[str, Set[str]]:
    """Virtual package names to the packages that provide them (Debian policy 7.5)."""
    result: Dict[str, Set[str]] = {}
    for name, fields in records.items():
        for virtual in _names(fields.get("Provides", "")):
            result.setdefault(virtual[0], set()).add(name)
    return result


def _names(relations: str) -> List[List[str]]:
    """The alternatives of each relation of a dependency field, names only (policy 7.1)."""
    result = []
    for relation in relations.split(","):
        names = []
        for alternative in relation.split("|"):
            match = _RELATION.match(alternative.strip())
            if match:
                names.append(match[1])
        if names:
            result.append(names)
    return result


def _first_in(
    alternatives: Sequence[str], names: Set[str], provided: Mapping[str, Set[str]]
) -> Optional[Set[str]]:
    for name in alternatives:
        if name in names:
            return {name}
        if name in provided:
            return provided[name]
    return None


def _locked(
    record: Mapping[str, str],
    names: Set[str],
    provided: Mapping[str, Set[str]],
    sources: Mapping[str, Tuple[str, ...]],
) -> LockedPackage:
    depends: Set[str] = set()
    for field in ("Pre-Depends", "Depends"):
        for alternatives in _names(record.get(field, "")):
            depends |= _first_in(alternatives, names, provided) or set()
    suite = record["_suite"] or next(iter(sources))
    return LockedPackage(
        name=record["Package"],
        version=record["Version"],
        architecture=record["Architecture"],
        suite=suite,
        path=record["Filename"].lstrip("./"),
        size=int(record["Size"]),
        sha256=record["SHA256"],
        installed_size=int(record.get("Installed-Size", "0")) * 1024,
        depends=tuple(sorted(depends - {record["Package"]})),
    )
