"""The outer archive of a .deb, deb(5): an ``ar`` archive in the common format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict

from strata.errors import StrataError

_MAGIC = b"!<arch>\n"
_HEADER = 60
_HEADER_END = b"`\n"


@dataclass(frozen=True)
class Member:
    """Where a member's content lies in the file, in bytes."""

    name: str
    offset: int
    size: int


def read_members(deb: Path, owner: str) -> Dict[str, Member]:
    """The members of a .deb by name.

    Raises StrataError for a file that is no .deb of format 2, or that ends before its last member
    does: what comes after it would not always notice.
    """
    end = deb.stat().st_size
    members: Dict[str, Member] = {}
    with open(deb, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise StrataError(f"{owner}: {deb.name} is not a Debian package; lock again")
        while file.tell() < end:
            header = file.read(_HEADER)
            size = header[48:58].strip()
            if len(header) < _HEADER or header[58:] != _HEADER_END or not size.isdigit():
                raise _damaged(deb, owner, "it has a malformed member header")
            # GNU ar ends names with a slash, to allow spaces in them.
            name = header[:16].decode("ascii", "replace").strip().rstrip("/")
            member = Member(name, file.tell(), int(size))
            if member.offset + member.size > end:
                raise _damaged(deb, owner, f"it ends within {name}")
            members.setdefault(name, member)
            file.seek(member.offset + member.size + member.size % 2)
        version = members.get("debian-binary")
        if version is not None:
            file.seek(version.offset)
            if not file.read(version.size).startswith(b"2."):
                raise StrataError(
                    f"{owner}: {deb.name} has a format other than 2.x of deb(5), which cannot be "
                    "read; lock a version of the package that has"
                )
    return members


def _damaged(deb: Path, owner: str, why: str) -> StrataError:
    return StrataError(f"{owner}: {deb.name} is damaged ({why}); fetch it again, or lock again")
