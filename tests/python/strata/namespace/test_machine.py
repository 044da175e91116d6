"""What is said of machines that allow too little."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from strata.commands.check_namespaces import describe
from strata.namespace.id_map import Extent, IdMap, IdMapKind
from strata.namespace.machine import Finding, remedies


def proc(tmp_path: Path, files: Dict[str, str]) -> Path:
    for name, text in {"proc/self/status": "Seccomp:\t0\n", **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        ({"proc/sys/user/max_user_namespaces": "0\n"}, "user.max_user_namespaces to more than 0"),
        (
            {"proc/sys/kernel/unprivileged_userns_clone": "0\n"},
            "kernel.unprivileged_userns_clone to 1",
        ),
        (
            {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"},
            "kernel.apparmor_restrict_unprivileged_userns to 0",
        ),
        ({"proc/self/status": "Name:\tx\nSeccomp:\t2\n"}, "--security-opt seccomp=unconfined"),
    ],
)
def test_each_reason_has_its_remedy(tmp_path: Path, files: Dict[str, str], remedy: str) -> None:
    (found,) = remedies([], proc(tmp_path, files))
    assert remedy in found


def test_hidden_proc_has_its_remedy(tmp_path: Path) -> None:
    refused = ["unshare: x", "mounting a /proc: Operation not permitted"]
    (found,) = remedies(refused, proc(tmp_path, {}))
    assert "--security-opt systempaths=unconfined" in found


def test_settings_that_stand_in_nobodys_way(tmp_path: Path) -> None:
    files = {
        "proc/sys/user/max_user_namespaces": "96364\n",
        "proc/sys/kernel/unprivileged_userns_clone": "1\n",
        "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n",
    }
    assert remedies([], proc(tmp_path, files)) == [
        "Run it on a machine, or in a container, that allows them."
    ]


def test_description() -> None:
    found = {
        "subordinate": Finding("newuidmap failed: x"),
        "single": Finding("", "Operation not permitted", ("owners", "devices")),
        "plain": Finding(""),
    }
    text = "\n".join(describe(found, changes_root=False))
    assert "the user's subordinate ids: refused (newuidmap failed: x)" in text
    assert "layers are copied, since Operation not permitted" in text
    assert "owners and devices are recorded, and not set" in text
    assert "fakeroot_commands with fakeroot_chroot: with a user namespace with one id" in text
    assert "What would help" not in text
    nothing = describe({"single": Finding("x"), "plain": Finding("")}, changes_root=False)
    assert "fakeroot_commands with fakeroot_chroot: not on this machine" in nothing
    assert "What would help:" in nothing


def test_keys_of_maps() -> None:
    """Trees whose files belong to other ids on disk are not shared."""
    one = (Extent(0, 1000, 1), Extent(1, 100000, 65536))
    two = (Extent(0, 1000, 1), Extent(1, 200000, 65536))
    keys = {IdMap(IdMapKind.SUBORDINATE, uids, uids).key for uids in (one, two)}
    assert len(keys) == 2
    assert IdMap(IdMapKind.FULL).key == "full"
