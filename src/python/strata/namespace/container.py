"""What an image's configuration says of how to start it (OCI image specification, "Properties")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from strata.errors import StrataError
from strata.namespace.inside import inside

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Container:
    """``user`` is as the configuration has it: names or numbers, perhaps with a group."""

    command: Tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    folder: str


@dataclass(frozen=True)
class Identity:
    """Numbers of a user, its group and its other groups, and its home folder."""

    uid: int
    gid: int
    groups: Tuple[int, ...]
    home: str


def container_of(config: Mapping[str, Any], arguments: Sequence[str]) -> Container:
    """``arguments`` replace the configuration's ``Cmd``, if there are any.

    Raises StrataError if there is nothing to start.
    """
    command = [*(config.get("Entrypoint") or ()), *(arguments or config.get("Cmd") or ())]
    if not command:
        raise StrataError(
            "the image has neither an Entrypoint nor a Cmd in its config: say what to run after --"
        )
    environment = {"PATH": _PATH}
    for item in config.get("Env") or ():
        name, _, value = item.partition("=")
        environment[name] = value
    return Container(
        tuple(command), environment, config.get("User") or "", config.get("WorkingDir") or "/"
    )


def identity(user: str, root: Path) -> Identity:
    """Whom ``user`` stands for in an image whose root folder is ``root``.

    Raises StrataError for a name that the image's passwd(5) and group(5) do not have.
    """
    name, _, group = user.partition(":")
    users, groups = _rows(inside(root, "etc/passwd"), 6), _rows(inside(root, "etc/group"), 4)
    row = _find(users, name or "0")
    if row is None and not (name or "0").isdigit():
        raise StrataError(f"the image's /etc/passwd has no user {name!r}, which its config names")
    uid = int(row[2]) if row else int(name or "0")
    home = row[5] if row else "/"
    if group:
        group_row = _find(groups, group)
        if group_row is None and not group.isdigit():
            raise StrataError(
                f"the image's /etc/group has no group {group!r}, which its config names"
            )
        return Identity(uid, int(group_row[2]) if group_row else int(group), (), home)
    others = tuple(int(item[2]) for item in groups if row and row[0] in item[3].split(","))
    return Identity(uid, int(row[3]) if row else 0, others, home)


def _find(rows: List[List[str]], wanted: str) -> Optional[List[str]]:
    """By number if ``wanted`` is one, else by name."""
    column = 2 if wanted.isdigit() else 0
    return next((row for row in rows if row[column] == wanted), None)


def _rows(file: Path, least: int) -> List[List[str]]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows = [line.split(":") for line in lines]
    return [row for row in rows if len(row) >= least and row[2].isdigit()]


def full_environment(container: Container, who: Identity) -> Dict[str, str]:
    """With what runtimes add where the configuration does not say it."""
    return {"HOME": who.home, "HOSTNAME": "localhost", **container.environment}
