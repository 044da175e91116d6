"""The files that name users and groups: passwd(5), group(5), shadow(5), gshadow(5)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from strata.errors import StrataError

_NOBODY = 65534
_NOLOGIN = "/usr/sbin/nologin"
_ROOT = {"uid": 0, "comment": "root", "home": "/root", "shell": _NOLOGIN}
_OTHERS = {"uid": _NOBODY, "comment": "nobody", "group": "nogroup"}


def users_files(
    users: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Mapping[str, Any]],
    shadow: bool = False,
) -> Dict[str, str]:
    """The content of ``/etc/passwd``, ``/etc/group`` and ``/etc/nsswitch.conf`` by path, and with
    ``shadow`` of ``/etc/shadow`` and ``/etc/gshadow``, where nobody has a password.

    ``users`` are by name, with ``uid`` and optionally ``gid``, ``group``, ``home``, ``shell`` and
    ``comment``; ``groups`` by name with ``gid`` and optionally ``members``. ``root`` and ``nobody``
    are there anyway. Raises StrataError for numbers and names that contradict each other.
    """
    every = {
        **users,
        "root": {**_ROOT, **users.get("root", {})},
        "nobody": {**_OTHERS, **users.get("nobody", {})},
    }
    for name, uid in (("root", 0), ("nobody", _NOBODY)):
        if every[name]["uid"] != uid:
            raise StrataError(f"{name!r} has the uid {uid}, not {every[name]['uid']}")
    rows = sorted(every.items(), key=lambda item: (item[1]["uid"], item[0]))
    for (one, first), (other, second) in zip(rows, rows[1:]):
        if first["uid"] == second["uid"]:
            raise StrataError(f"{one!r} and {other!r} both have the uid {first['uid']}")
    numbers, members = _groups(rows, groups)
    passwd = [_passwd_line(name, user) for name, user in rows]
    ordered = sorted(numbers.items(), key=lambda item: (item[1], item[0]))
    files = {
        "etc/passwd": passwd,
        "etc/group": [f"{name}:x:{gid}:{members.get(name, '')}" for name, gid in ordered],
        "etc/nsswitch.conf": ["passwd: files", "group: files", "hosts: files dns"],
    }
    if shadow:
        files["etc/shadow"] = [f"{name}:*:::::::" for name, _ in rows]
        files["etc/gshadow"] = [f"{name}:*::{members.get(name, '')}" for name, _ in ordered]
    return {path: "".join(f"{line}\n" for line in lines) for path, lines in files.items()}


def _passwd_line(name: str, user: Mapping[str, Any]) -> str:
    home, shell = user.get("home", "/nonexistent"), user.get("shell", _NOLOGIN)
    gid = user.get("gid", user["uid"])
    return f"{name}:x:{user['uid']}:{gid}:{user.get('comment', '')}:{home}:{shell}"


def _groups(
    rows: List[Tuple[str, Mapping[str, Any]]], groups: Mapping[str, Mapping[str, Any]]
) -> Tuple[Dict[str, int], Dict[str, str]]:
    """Numbers of all groups by name, and the members that are listed for some."""
    numbers: Dict[str, int] = {}
    members: Dict[str, str] = {}
    names = {name for name, _ in rows}
    for name, group in sorted(groups.items()):
        numbers[name] = group["gid"]
        unknown = sorted(set(group.get("members", ())) - names)
        if unknown:
            raise StrataError(f"{unknown[0]!r}, a member of the group {name!r}, is no user")
        members[name] = ",".join(sorted(group.get("members", ())))
    for name, user in rows:
        gid = user.get("gid", user["uid"])
        # A number that a listed group has needs no group of the user's own name.
        named = next((known for known, number in sorted(numbers.items()) if number == gid), name)
        own: str = user.get("group", named)
        if numbers.setdefault(own, gid) != gid:
            raise StrataError(
                f"the group {own!r} of {name!r} has the gid {numbers[own]}, not {gid}"
            )
    return numbers, members
