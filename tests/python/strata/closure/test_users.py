"""Files of users and groups, as the C library reads them."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from strata.closure.users import users_files
from strata.errors import StrataError


def test_root_and_nobody_are_there_anyway() -> None:
    assert users_files({}, {}) == {
        "etc/passwd": (
            "root:x:0:0:root:/root:/usr/sbin/nologin\n"
            "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        ),
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }


def test_users_groups_and_members_by_number() -> None:
    users: Dict[str, Any] = {
        "web": {"uid": 33, "gid": 29, "comment": "Web", "home": "/srv", "shell": "/bin/sh"},
        "app": {"uid": 1000, "gid": 50, "group": "staff"},
        "job": {"uid": 1001, "gid": 50},
        "root": {"uid": 0, "shell": "/bin/bash"},
    }
    groups: Dict[str, Any] = {"audio": {"gid": 29, "members": ["web", "app"]}, "tty": {"gid": 5}}
    found = users_files(users, groups, shadow=True)
    assert found["etc/passwd"].splitlines() == [
        "root:x:0:0:root:/root:/bin/bash",
        "web:x:33:29:Web:/srv:/bin/sh",
        "app:x:1000:50::/nonexistent:/usr/sbin/nologin",
        "job:x:1001:50::/nonexistent:/usr/sbin/nologin",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
    ]
    assert found["etc/group"].splitlines() == [
        "root:x:0:",
        "tty:x:5:",
        "audio:x:29:app,web",
        "staff:x:50:",
        "nogroup:x:65534:",
    ]
    assert found["etc/shadow"].splitlines()[1] == "web:*:::::::"
    assert found["etc/gshadow"].splitlines()[2] == "audio:*::app,web"


@pytest.mark.parametrize(
    ("users", "groups", "message"),
    [
        ({"root": {"uid": 7}}, {}, "'root' has the uid 0, not 7"),
        ({"nobody": {"uid": 7}}, {}, "'nobody' has the uid 65534, not 7"),
        ({"a": {"uid": 7}, "b": {"uid": 7}}, {}, "'a' and 'b' both have the uid 7"),
        ({"a": {"uid": 0}}, {}, "'a' and 'root' both have the uid 0"),
        ({"a": {"uid": 7, "group": "g"}}, {"g": {"gid": 8}}, "'g' of 'a' has the gid 8, not 7"),
        ({}, {"g": {"gid": 8, "members": ["a"]}}, "'a', a member of the group 'g', is no user"),
    ],
)
def test_contradictions(users: Any, groups: Any, message: str) -> None:
    with pytest.raises(StrataError, match=message):
        users_files(users, groups)
