"""What earlier set-ups left behind, written so that a warm start needs to run nothing.

An *environment record* stands beside a finished environment and names it; it is written last, so an
environment without one is half-made. A *selection record* says which environment the interpreter
search came to for one set of search inputs, so that a warm start can leave the search out.
"""

from __future__ import annotations

import hashlib
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pants_launcher.locations import Locations

# Change it when a set-up makes something else from the same inputs.
LAYOUT = "2"

# Every variable that the interpreter search reads.
_SEARCH_VARIABLES = ("PATH", "HOME", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME")


def server_of(client: str) -> str:
    """Where the program is that a native client falls back to."""
    return os.path.join(os.path.dirname(client), "pants-server")


class EnvironmentRecord:
    """A finished environment: Pants's own virtual environment and the Pex command line."""

    def __init__(
        self,
        python: str,
        pants: str,
        client: str,
        interpreter: str,
        pex: str,
        pex_url_template: str,
        pex_size: int,
        pex_known_version: str,
    ) -> None:
        """``python`` runs the script ``pants``; ``interpreter`` is what ``python`` was made with.

        ``client`` is Pants' native client, or "" where it has none.

        The ``pex_`` values are as Pants's options of its Pex command line take them.
        """
        self.python = python
        self.pants = pants
        self.client = client
        self.interpreter = interpreter
        self.pex = pex
        self.pex_url_template = pex_url_template
        self.pex_size = pex_size
        self.pex_known_version = pex_known_version

    @property
    def server(self) -> str:
        """The program beside the native client that does its work where there is no daemon."""
        return server_of(self.client)

    def is_intact(self) -> bool:
        """Whether what the record names is still there (the interpreter may have been removed)."""
        try:
            return (
                os.access(self.python, os.X_OK)
                and os.access(self.pants, os.R_OK)
                and all(
                    os.access(path, os.X_OK) for path in (self.client, self.server) if self.client
                )
                and os.access(self.interpreter, os.X_OK)
                and os.stat(self.pex).st_size == self.pex_size
            )
        except OSError:
            return False

    def write(self, path: str) -> None:
        """Puts the record at ``path``, at once or not at all."""
        write_atomically(path, json.dumps(self.__dict__, indent=1) + "\n")

    @classmethod
    def read(cls: type[EnvironmentRecord], path: str) -> EnvironmentRecord | None:
        """The record at ``path``; None where there is none, or none that can be used."""
        try:
            with open(path, encoding="utf-8") as file:
                record = cls(**json.load(file))
            return record if record.is_intact() else None
        except (FileNotFoundError, ValueError, TypeError):
            # Absent, or not of this layout: a set-up will write a new one.
            return None


def write_atomically(path: str, text: str) -> None:
    """Writes a file that other processes see either whole or not at all."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def digest(*parts: str | bytes) -> str:
    """A short name for a sequence of inputs, different when any of them is."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()[:20]


def locks_digest(locations: Locations) -> str:
    """A name for the locked requirements that an environment is made of."""
    parts = [LAYOUT]
    for name in ("pants", "pex"):
        with open(locations.requirements(name), encoding="utf-8") as file:
            parts.append(file.read())
    return digest(*parts)


def selection_path(locations: Locations, env: Mapping[str, str]) -> str:
    """The selection record for the locked requirements and the interpreter search's inputs."""
    explicit = env.get("PANTS_PYTHON", "")
    parts = [locks_digest(locations), explicit]
    if explicit:
        # Another file at the same path is another choice; an absent one is reported by the search.
        try:
            status = os.stat(explicit)
            parts.append(f"{status.st_mtime_ns} {status.st_size}")
        except OSError:
            parts.append("absent")
    parts.extend(env.get(name, "") for name in _SEARCH_VARIABLES)
    return os.path.join(locations.selections, digest(*parts) + ".json")


def read_selection(locations: Locations, env: Mapping[str, str]) -> EnvironmentRecord | None:
    """The environment that an earlier start with the same inputs came to, if it is intact."""
    return EnvironmentRecord.read(selection_path(locations, env))
