"""apt(8) in a state folder of its own.

Of the machine it has the keyrings and the ways to fetch (``Acquire``: proxies, time limits), and
neither its sources and preferences, nor what is installed, nor its hooks, nor settings that would
let it take archives without a valid signature.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from strata.closure.debian.deb822 import paragraphs
from strata.errors import StrataError

# Settings of the machine that would change what is resolved, or whether it is checked.
_NOT_TAKEN = re.compile(
    r"Acquire::(Allow\w*|IndexTargets|Languages|GzipIndexes|PDiffs|CompressionTypes)(::|$)", re.I
)
_NOISE = re.compile(
    r"^(Reading (package lists|state information)|Building dependency tree|Get:|Hit:).*\n",
    re.MULTILINE,
)
# In the words of gpgv, of sqv (apt 3), and for an archive that has none.
_BAD_SIGNATURE = re.compile(
    r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|ERRSIG|NOSPLIT|is not signed|not signed by"
    r"|signatures (couldn't|were) |signature verification failed|keyring .* ignored"
)
# Older releases of apt only warn of what they could not fetch.
_INCOMPLETE = re.compile(
    r"^[WN]: (Failed to fetch|Some index files|Skipping acquire)", re.MULTILINE
)


class FetchError(StrataError):
    """A suite cannot be fetched from one mirror; another may have it."""


class Apt:
    """Runs apt for one architecture. ``state`` is an empty folder, its path without white space.
    With ``essential`` essential packages (Debian policy 3.8) are part of every closure."""

    def __init__(self, state: Path, architecture: str, essential: bool = False) -> None:
        self._state = state
        self._essential = essential
        for folder in ("lists/partial", "cache/archives/partial", "empty", "keys"):
            (state / folder).mkdir(parents=True)
        (state / "status").touch()
        self._sources: List[str] = []
        machine = self._machine_settings()
        # Read before all other configuration, and by naming no parts the only one: apt.conf(5).
        (state / "apt.conf").write_text(f"{machine}{self._settings(architecture)}")

    def _settings(self, architecture: str) -> str:
        settings = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": f"{self._state}/empty",
            "Dir::Etc::sourcelist": f"{self._state}/sources.list",
            "Dir::Etc::sourceparts": f"{self._state}/empty",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": f"{self._state}/empty",
            "Dir::State": f"{self._state}",
            "Dir::State::status": f"{self._state}/status",
            "Dir::State::lists": f"{self._state}/lists",
            "Dir::Cache": f"{self._state}/cache",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            # Only privileged users may become apt's own user, and it could not read the folder.
            "APT::Sandbox::User": "",
            "APT::Get::List-Cleanup": "false",
            "APT::Install-Recommends": "false",
            "APT::Install-Suggests": "false",
            "APT::Update::Error-Mode": "any",
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::AllowWeakRepositories": "false",
            "Acquire::AllowDowngradeToInsecureRepositories": "false",
            "Acquire::Languages": "none",
            # Without: only what is asked for, and what it depends on.
            "pkgCacheFile::Essential": "native" if self._essential else "none",
        }
        return "".join(f'{name} "{value}";\n' for name, value in settings.items())

    def _machine_settings(self) -> str:
        code, output = self._run(
            {}, "apt-config", "dump", "--no-empty", "--format", '%f "%V";%n', "Acquire"
        )
        if code:
            raise StrataError(f"the machine's apt configuration cannot be read:\n{output.strip()}")
        lines = []
        for line in output.splitlines():
            match = re.fullmatch(r'(\S+) "([^"]*)";', line)
            if match is None:
                raise StrataError(
                    f"the machine's apt configuration has the setting {line!r}, which cannot be "
                    "taken over; remove the quotes in it"
                )
            if not _NOT_TAKEN.match(match[1]):
                lines.append(f"{line}\n")
        return "".join(lines)

    def keyring(self, key: str) -> str:
        """The path of a new keyring that holds an armored key."""
        path = self._state / "keys" / f"{len(list((self._state / 'keys').iterdir()))}.asc"
        path.write_text(key, encoding="utf-8")
        return str(path)

    def add_source(self, uri: str, suite: str, components: Sequence[str], signed_by: str) -> None:
        """Fetches a suite's signed metadata. An empty ``signed_by`` stands for apt's own keyrings.

        Raises StrataError if its signature is not valid, and FetchError if it cannot be reached or
        lacks a component or the architecture.
        """
        options = f"[signed-by={signed_by}] " if signed_by else ""
        line = f"deb {options}{uri} {suite} {' '.join(components)}\n"
        (self._state / "sources.list").write_text(line)
        code, output = self._apt("apt-get", "-q", "update")
        words = _words(output)
        if _BAD_SIGNATURE.search(output):
            raise StrataError(
                f"the signature of the suite {suite!r} at {uri} cannot be verified with "
                f"{signed_by or 'the keyrings of apt'}:\n{words}\n"
                "Install the keyring package of the archive, or name its keyring."
            )
        if code or _INCOMPLETE.search(output):
            raise FetchError(f"apt cannot fetch the suite {suite!r} from {uri}:\n{words}")
        self._sources.append(line)
        (self._state / "sources.list").write_text("".join(self._sources))

    def closure(self, packages: Sequence[str]) -> Tuple[Optional[Dict[str, str]], str]:
        """Versions, by name, of ``packages`` and all that they depend on, and apt's words; None
        instead if they cannot be installed."""
        essential = ("?essential",) if self._essential else ()
        code, output = self._apt("apt-get", "-q", "-s", "install", *packages, *essential)
        if code:
            return None, _words(output)
        found = re.findall(r"^Inst (\S+) \((\S+) ", output, re.MULTILINE)
        return {name.partition(":")[0]: version for name, version in found}, _words(output)

    def records(self, versions: Mapping[str, str]) -> Dict[str, Dict[str, str]]:
        """The fields of packages in the signed metadata, by the package's name; names of fields are
        in lower case."""
        if not versions:
            return {}
        wanted = [f"{name}={version}" for name, version in sorted(versions.items())]
        code, output = self._apt("apt-cache", "-q", "show", *wanted)
        if code:
            raise StrataError(f"apt-cache show failed:\n{_words(output)}")
        result: Dict[str, Dict[str, str]] = {}
        for fields in paragraphs(output):
            if versions.get(fields.get("package", "")) == fields.get("version"):
                result.setdefault(fields["package"], fields)
        return result

    def suites(self, versions: Mapping[str, str], known: Sequence[str]) -> Dict[str, str]:
        """Which of the ``known`` suites each package comes from."""
        if not versions:
            return {}
        code, output = self._apt("apt-cache", "-q", "madison", *sorted(versions))
        if code:
            raise StrataError(f"apt-cache madison failed:\n{_words(output)}")
        result: Dict[str, str] = {}
        for line in output.splitlines():
            # "name | version | URI suite/component architecture Packages"
            columns = [column.strip() for column in line.split("|")]
            if len(columns) != 3 or versions.get(columns[0]) != columns[1]:
                continue
            source = columns[2].split()
            if len(source) == 4 and source[3] == "Packages":
                named = [suite for suite in known if source[1].startswith(f"{suite}/")]
                if named:
                    result.setdefault(columns[0], max(named, key=len))
        return result

    def releases(self) -> Dict[str, str]:
        """SHA-256 of the signed metadata of all sources, by name; the name says where from."""
        files = sorted((self._state / "lists").glob("*_InRelease"))
        return {
            file.name[: -len("_InRelease")]: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }

    def _apt(self, *command: str) -> Tuple[int, str]:
        return self._run({"APT_CONFIG": f"{self._state}/apt.conf"}, *command)

    def _run(self, changes: Mapping[str, str], *command: str) -> Tuple[int, str]:
        environment = {**os.environ, **changes, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        environment["PATH"] = environment.get("PATH") or "/usr/bin:/bin:/usr/sbin:/sbin"
        try:
            process = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
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


def _words(output: str) -> str:
    return _NOISE.sub("", output).strip()
