"""Maps of user and group ids for a user namespace, see user_namespaces(7).

The best that the machine allows is taken: every id, for root; a user's subordinate ids, with
``newuidmap`` and ``newgidmap``; the user's own id alone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import List, Optional, Tuple

from strata.namespace.errors import NamespaceError

#: Fewer would not hold the ids that distributions use (``nobody`` is 65534).
_LEAST_SUBORDINATE = 65536
_HELPER_PATH = "/usr/bin:/bin:/usr/local/bin"


class IdMapKind(str, Enum):
    """``NONE`` is no user namespace at all: real root, or nobody."""

    FULL = "full"
    SUBORDINATE = "subordinate"
    SINGLE = "single"
    NONE = "none"


@dataclass(frozen=True)
class Extent:
    """``count`` ids from ``inside`` on are those from ``outside`` on in the parent namespace."""

    inside: int
    outside: int
    count: int

    def line(self) -> str:
        return f"{self.inside} {self.outside} {self.count}\n"


@dataclass(frozen=True)
class IdMap:
    """``key`` tells trees apart whose files' owners differ on disk."""

    kind: IdMapKind
    uids: Tuple[Extent, ...] = ()
    gids: Tuple[Extent, ...] = ()

    @property
    def holds_all_ids(self) -> bool:
        """Whether files can really belong to whom the commands say."""
        return self.kind is not IdMapKind.SINGLE

    @property
    def key(self) -> str:
        if self.kind is not IdMapKind.SUBORDINATE:
            return str(self.kind.value)
        return "-".join(f"{extent.outside}" for extent in (*self.uids, *self.gids) if extent.inside)

    def write(self, process: int) -> None:
        """Sets the maps of a process that has just entered a user namespace.

        Raises NamespaceError if the machine refuses.
        """
        try:
            if self.kind is IdMapKind.SUBORDINATE:
                self._write_with_helpers(process)
                return
            folder = Path(f"/proc/{process}")
            if self.kind is IdMapKind.SINGLE:
                (folder / "setgroups").write_text("deny")
            (folder / "uid_map").write_text("".join(extent.line() for extent in self.uids))
            (folder / "gid_map").write_text("".join(extent.line() for extent in self.gids))
        except OSError as error:
            raise NamespaceError(f"the id map is refused: {error.strerror}") from error

    def _write_with_helpers(self, process: int) -> None:
        for helper, extents in (("newuidmap", self.uids), ("newgidmap", self.gids)):
            program = shutil.which(helper, path=_HELPER_PATH)
            if program is None:
                raise NamespaceError(f"{helper} is not installed")
            numbers = [
                str(number)
                for extent in extents
                for number in (extent.inside, extent.outside, extent.count)
            ]
            result = subprocess.run(
                [program, str(process), *numbers], capture_output=True, text=True, check=False
            )
            if result.returncode:
                raise NamespaceError(f"{helper} failed: {result.stderr.strip()}")


def full_map() -> IdMap:
    """Every id that this process' own namespace has, as itself."""
    return IdMap(IdMapKind.FULL, _own_extents("uid"), _own_extents("gid"))


def single_map() -> IdMap:
    return IdMap(IdMapKind.SINGLE, (Extent(0, os.geteuid(), 1),), (Extent(0, os.getegid(), 1),))


def subordinate_map() -> Optional[IdMap]:
    """Root is the user, and the ids from 1 on are the user's in subuid(5) and subgid(5).

    None if the helpers are not installed or the user has too few.
    """
    if shutil.which("newuidmap", path=_HELPER_PATH) is None:
        return None
    uids = _subordinate(Path("/etc/subuid"))
    gids = _subordinate(Path("/etc/subgid"))
    if uids is None or gids is None:
        return None
    return IdMap(
        IdMapKind.SUBORDINATE,
        (Extent(0, os.geteuid(), 1), uids),
        (Extent(0, os.getegid(), 1), gids),
    )


def candidates() -> List[IdMap]:
    """The maps worth trying, the best first."""
    if os.geteuid() == 0:
        return [full_map(), single_map()]
    subordinate = subordinate_map()
    return [*([subordinate] if subordinate else []), single_map()]


def _own_extents(kind: str) -> Tuple[Extent, ...]:
    rows = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    starts = [(int(row.split()[0]), int(row.split()[2])) for row in rows]
    return tuple(Extent(start, start, count) for start, count in starts)


def _subordinate(file: Path) -> Optional[Extent]:
    """The largest range that ``file`` gives this user."""
    try:
        names = {pwd.getpwuid(os.geteuid()).pw_name}
    except KeyError:
        names = set()
    names.add(str(os.geteuid()))
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return None
    best: Optional[Extent] = None
    for line in lines:
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in names:
            found = Extent(1, int(fields[1]), int(fields[2]))
            if found.count >= _LEAST_SUBORDINATE and (best is None or found.count > best.count):
                best = found
    return best
