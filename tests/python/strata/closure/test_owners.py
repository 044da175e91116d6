"""Owner rules change what they match."""

from __future__ import annotations

import pytest

from strata.archive.entry import Entry, symlink
from strata.closure.owners import apply_rules, encode_capabilities, parse_rules
from strata.errors import StrataError


def test_rules_apply_in_order_and_say_whether_they_matched() -> None:
    rules = parse_rules(
        [
            {"paths": "opt/*", "uid": 1, "gid": 2},
            {"paths": "opt/b", "uid": 3, "mode": "4750"},
            {"paths": "none", "uid": 4},
        ]
    )
    entries, matched = apply_rules([Entry("opt/a"), Entry("opt/b"), Entry("etc")], rules)
    assert [(e.uid, e.gid, e.mode) for e in entries] == [
        (1, 2, 0o644),
        (3, 2, 0o4750),
        (0, 0, 0o644),
    ]
    assert matched == [True, True, False]


def test_links_keep_their_mode_and_get_no_capabilities() -> None:
    rules = parse_rules([{"paths": "l", "uid": 5, "mode": "0600", "capabilities": "cap_kill=p"}])
    ((link,), _) = apply_rules([symlink("l", "x")], rules)
    assert (link.uid, link.mode, dict(link.xattrs)) == (5, 0o777, {})


def test_capabilities_are_encoded_as_the_kernel_reads_them() -> None:
    # What `setcap cap_net_bind_service+ep` writes.
    expected = bytes.fromhex("0100000200040000000000000000000000000000")
    assert encode_capabilities("cap_net_bind_service+ep") == expected
    high = encode_capabilities("cap_bpf,cap_chown+i")
    assert high == bytes.fromhex("0000000200000000" + "01000000" + "00000000" + "80000000")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"uid": 1}, "'paths'"),
        ({"paths": "/etc"}, "must not start with a slash"),
        ({"paths": "a", "owner": 1}, "unknown key 'owner'"),
        ({"paths": "a", "uid": -1}, "must be a number"),
        ({"paths": "a", "uid": True}, "must be a number"),
        ({"paths": "a", "mode": "0888"}, "octal"),
        ({"paths": "a", "capabilities": "net_admin"}, "cap_net_bind_service"),
        ({"paths": "a", "capabilities": "cap_fly+ep"}, "cap_fly"),
        ({"paths": "a", "capabilities": ""}, "cap_net_bind_service"),
    ],
)
def test_bad_rules(row: dict, message: str) -> None:
    with pytest.raises(StrataError, match=message):
        parse_rules([row])
