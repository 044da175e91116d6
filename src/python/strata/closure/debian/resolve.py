"""From a list of packages to a lock, with apt as the resolver."""

from __future__ import annotations

import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

from strata.closure.debian.apt import Apt, FetchError
from strata.closure.debian.lock import PACKAGE_NAME, DebianLock, LockedPackage
from strata.closure.debian.mirror import APT_FOLDER, configured_sources, mirrors_for
from strata.errors import StrataError

_DEFAULT_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_RELATION = re.compile(r"([a-z0-9][a-z0-9+.-]*)")
# What a line of sources.list(5) can hold without a second meaning.
_WORD = re.compile(r"[^\s\[\]#\"',]+")


@dataclass(frozen=True)
class _Source:
    """A place to take a suite from. ``key`` is an armored key, if there is no keyring with it."""

    uri: str
    signed_by: str
    key: str = ""


def resolve(spec: Mapping[str, Any], apt_folder: Path = APT_FOLDER) -> Tuple[DebianLock, ...]:
    """The locks of ``spec``, one for each of its ``architectures``, in their order: of
    ``packages``, ``suites``, ``components``, and optionally ``mirrors`` (URLs by suite),
    ``keyring`` (a path) and ``essential``, for closures with essential packages.

    Suites without mirrors in the spec come from the machine's apt configuration in ``apt_folder``.
    A suite's mirrors are tried in order. Equal archives give equal locks. Raises StrataError for a
    malformed spec, where apt is missing or fails, in apt's own words, where a signature is not
    valid, where no mirror is known for a suite, and where an archive changed in the middle.
    """
    _check(spec)
    architectures: List[str] = list(spec["architectures"])
    # Each has an apt of its own, which takes it for the machine's: to resolve for one as a foreign
    # architecture of another would let packages of both into one closure (Debian's Multi-Arch).
    with ThreadPoolExecutor(len(architectures)) as pool:
        found = list(pool.map(lambda name: _resolve_one(spec, name, apt_folder), architectures))
    releases: Dict[str, str] = {}
    for _, seen in found:
        for source, digest in seen.items():
            if releases.setdefault(source, digest) != digest:
                raise StrataError(
                    f"the archive changed while it was read ({source}), so that architectures "
                    "would get different versions; lock again"
                )
    return tuple(lock for lock, _ in found)


def _resolve_one(
    spec: Mapping[str, Any], architecture: str, apt_folder: Path
) -> Tuple[DebianLock, Dict[str, str]]:
    """A lock, and the digests of the signed metadata that it was made from."""
    suites: List[str] = list(spec["suites"])
    requested = tuple(sorted(set(spec["packages"])))
    essential = bool(spec.get("essential"))
    with tempfile.TemporaryDirectory(prefix="apt-") as state:
        apt = Apt(Path(state), architecture, essential)
        origins = [
            f"{suite} ({_add(apt, suite, spec, architecture, apt_folder)})" for suite in suites
        ]
        versions, words = apt.closure(requested)
        if versions is None:
            raise StrataError(
                f"apt cannot resolve {', '.join(requested)} for {architecture} from "
                f"{', '.join(origins)}:\n{words}"
            )
        records = apt.records(versions)
        origin = apt.suites(versions, suites)
        releases = apt.releases()
    provided = _provided(records)
    for name in requested:
        if name not in versions:
            providers = ", ".join(sorted(provided.get(name, ())))
            raise StrataError(
                f"{name!r} is no package of {', '.join(origins)}: "
                + (f"it is virtual; name what provides it: {providers}" if providers else words)
            )
    packages = []
    for name in sorted(versions):
        if name not in records or name not in origin:
            raise StrataError(f"apt has no metadata of the package {name!r} {versions[name]}")
        packages.append(_locked(records[name], origin[name], set(versions), provided))
    lock = DebianLock(
        architecture,
        tuple(suites),
        tuple(spec["components"]),
        requested,
        tuple(packages),
        essential,
    )
    return lock, releases


def _check(spec: Mapping[str, Any]) -> None:
    for key in ("packages", "suites", "components", "architectures"):
        if not spec.get(key):
            raise StrataError(f"'{key}' is empty: name at least one")
    for name in spec["packages"]:
        if not PACKAGE_NAME.fullmatch(name):
            raise StrataError(
                f"'packages' has {name!r}, which is not a package name; versions, architectures "
                "and patterns are not part of one"
            )
    mirrors = spec.get("mirrors") or {}
    words = [("keyring", spec.get("keyring") or "none")]
    words += [
        (key, word) for key in ("architectures", "suites", "components") for word in spec[key]
    ]
    words += [("mirrors", uri) for uris in mirrors.values() for uri in uris]
    for key, word in words:
        if not _WORD.fullmatch(word):
            raise StrataError(f"'{key}' has {word!r}, which apt's sources cannot hold")
    keyring = spec.get("keyring")
    if keyring and not Path(keyring).is_file():
        raise StrataError(f"there is no keyring {keyring}")


def _add(apt: Apt, suite: str, spec: Mapping[str, Any], architecture: str, apt_folder: Path) -> str:
    """Adds the first source that has ``suite`` to apt and returns its URI."""
    failures = []
    for source in _sources(suite, spec, architecture, apt_folder):
        signed_by = apt.keyring(source.key) if source.key else source.signed_by
        try:
            apt.add_source(source.uri, suite, spec["components"], signed_by)
        except FetchError as error:
            failures.append(str(error))
            continue
        return source.uri
    raise StrataError(
        "\n".join(failures)
        + "\nName a mirror that can be reached and has it in [layered-images].debian_mirrors."
    )


def _sources(
    suite: str, spec: Mapping[str, Any], architecture: str, apt_folder: Path
) -> List[_Source]:
    keyring = spec.get("keyring")
    configured = mirrors_for(suite, apt_folder, architecture, spec["components"])
    uris = (spec.get("mirrors") or {}).get(suite)
    if uris:
        trusted = [(m.signed_by, m.key) for m in configured if m.signed_by or m.key]
        signed_by, key = trusted[0] if trusted else (_DEFAULT_KEYRING, "")
        if keyring:
            signed_by, key = keyring, ""
        if signed_by == _DEFAULT_KEYRING and not Path(signed_by).is_file():
            raise StrataError(
                f"no keyring is known for the suite {suite!r}: install the package "
                "debian-archive-keyring, or add the suite to the machine's apt configuration with "
                "Signed-By"
            )
        return [_Source(uri, signed_by, key) for uri in uris]
    if configured:
        return [
            _Source(m.uri, keyring, "") if keyring else _Source(m.uri, m.signed_by, m.key)
            for m in configured
        ]
    skipped = sorted(
        {
            f"\n{mirror.uri} was left out: {mirror.unusable}"
            for mirror in configured_sources(apt_folder)
            if mirror.unusable and suite in mirror.suites
        }
    )
    raise StrataError(
        f"no mirror is known for the suite {suite!r} with {', '.join(spec['components'])} for "
        f"{architecture}: add it to the machine's apt configuration, or set "
        f"[layered-images].debian_mirrors{''.join(skipped)}"
    )


def _provided(records: Mapping[str, Mapping[str, str]]) -> Dict[str, Set[str]]:
    """Virtual package names to the packages that provide them (Debian policy 7.5)."""
    result: Dict[str, Set[str]] = {}
    for name, fields in records.items():
        for virtual in _relations(fields.get("provides", "")):
            result.setdefault(virtual[0], set()).add(name)
    return result


def _relations(field: str) -> List[List[str]]:
    """The alternatives of each relation of a dependency field, names only (Debian policy 7.1)."""
    result = []
    for relation in field.split(","):
        matches = [_RELATION.match(text.strip()) for text in relation.split("|")]
        names = [match[1] for match in matches if match]
        if names:
            result.append(names)
    return result


def _first_in(
    alternatives: Sequence[str], names: Set[str], provided: Mapping[str, Set[str]]
) -> Set[str]:
    for name in alternatives:
        if name in names:
            return {name}
        if name in provided:
            return provided[name]
    return set()


def _locked(
    record: Mapping[str, str], suite: str, names: Set[str], provided: Mapping[str, Set[str]]
) -> LockedPackage:
    name = record["package"]
    depends: Set[str] = set()
    for field in ("pre-depends", "depends"):
        for alternatives in _relations(record.get(field, "")):
            found = _first_in(alternatives, names, provided)
            if not found:
                raise StrataError(
                    f"{name!r} depends on {' | '.join(alternatives)}, which apt did not choose"
                )
            depends |= found
    try:
        return LockedPackage(
            name=name,
            version=record["version"],
            architecture=record["architecture"],
            suite=suite,
            path=_pool_path(record["filename"]),
            size=int(record["size"]),
            sha256=record["sha256"],
            # In the metadata it is in kibibytes (Debian policy 5.6.20), and may be missing.
            installed_size=int(record.get("installed-size", "0")) * 1024,
            depends=tuple(sorted(depends - {name})),
        )
    except KeyError as error:
        raise StrataError(
            f"the archive's metadata of {name!r} has no field {error.args[0]!r}; packages of this "
            "archive cannot be locked"
        ) from error


def _pool_path(filename: str) -> str:
    return filename[2:] if filename.startswith("./") else filename
