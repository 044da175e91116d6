"""Which namespaces this machine allows, and what to change where it allows none."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Dict, List, Tuple

from strata.namespace import linux
from strata.namespace.errors import NamespaceError
from strata.namespace.id_map import IdMap, IdMapKind, candidates
from strata.namespace.isolation import Isolation, refusal, run_isolated
from strata.namespace.limits import find_limits
from strata.namespace.overlay import refuses_overlays

_CAP_SYS_CHROOT = 18

#: Names one of ``ways`` to use, and no other: for tests, and to find out what is wrong.
FORCE = "STRATA_ISOLATION"
PLAIN = "plain"
ROOT = "root"


def ways(network: bool = False) -> Dict[str, Isolation]:
    """How this user could isolate commands, by name, the best first.

    The kinds of id map; ``root``, namespaces without a user namespace; ``plain``, no namespaces.
    """
    result = {id_map.kind.value: Isolation(id_map, network) for id_map in candidates()}
    if os.geteuid() == 0:
        result[ROOT] = Isolation(IdMap(IdMapKind.NONE), network)
    result[PLAIN] = Isolation(IdMap(IdMapKind.NONE), network, namespaces=False)
    return result


def choose_isolation(network: bool, in_image: bool) -> Isolation:
    """The best that this machine allows for commands, with the image as their root or not.

    Raises NamespaceError, with the way out, if there is none.
    """
    possible = ways(network)
    forced = os.environ.get(FORCE)
    if forced:
        if forced not in possible:
            raise NamespaceError(
                f"{FORCE}={forced}: this user can choose from {', '.join(possible)}"
            )
        possible = {forced: possible[forced]}
    refused = []
    for name, isolation in possible.items():
        if name == PLAIN and in_image and not may_change_root():
            refused.append(f"{name}: only root may change its root folder")
            continue
        reason = refusal(isolation)
        if not reason:
            return isolation
        refused.append(f"{name}: {reason}")
    raise NamespaceError(
        f"this machine cannot run the commands ({'; '.join(refused)}). {' '.join(remedies())}"
    )


@dataclass(frozen=True)
class Finding:
    """What commands get with a way of isolation. ``refusal`` says why it does not work, if it does
    not, ``overlays`` why layers have to be copied, and ``recorded`` what is set in records alone.
    """

    refusal: str
    overlays: str = ""
    recorded: Tuple[str, ...] = ()


def examine(isolation: Isolation) -> Finding:
    """Tries ``isolation`` out."""
    answer_out, answer_in = os.pipe()

    def look() -> int:
        with tempfile.TemporaryDirectory(prefix="strata-") as name:
            folder = Path(name)
            overlays = "there are no mounts"
            if isolation.namespaces:
                linux.mount("tmpfs", folder, "tmpfs", 0, "mode=700")
                overlays = refuses_overlays(folder / "overlays")
            limits = find_limits(isolation.id_map, folder)
            recorded = [field.name for field in fields(limits) if getattr(limits, field.name)]
            os.write(answer_in, json.dumps([overlays, recorded]).encode())
            if isolation.namespaces:
                linux.unmount(folder)
        return 0

    try:
        code = run_isolated(look, isolation)
    except NamespaceError as error:
        return Finding(str(error))
    finally:
        os.close(answer_in)
        with open(answer_out, "rb") as file:
            answer = file.read()
    if code:
        return Finding(f"a process in it ended with {code}")
    overlays, recorded = json.loads(answer)
    return Finding("", overlays, tuple(recorded))


def may_change_root() -> bool:
    """Whether this process has CAP_SYS_CHROOT."""
    return bool(linux.effective_capabilities() >> _CAP_SYS_CHROOT & 1)


def remedies() -> List[str]:
    """What the administrator of this machine can change, as far as can be seen from here."""
    found = []
    if _number("/proc/sys/user/max_user_namespaces") == 0:
        found.append("Set the sysctl user.max_user_namespaces to more than 0.")
    if _number("/proc/sys/kernel/unprivileged_userns_clone") == 0:
        found.append("Set the sysctl kernel.unprivileged_userns_clone to 1.")
    if _number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1:
        found.append(
            "AppArmor restricts them, as on Ubuntu since 23.10: set the sysctl "
            "kernel.apparmor_restrict_unprivileged_userns to 0, or give the Python that runs this "
            "an AppArmor profile with `userns,`."
        )
    if _seccomp_mode() == 2:
        found.append(
            "A seccomp filter is on: in a container, start it with a profile that allows unshare "
            "and mount (docker run --security-opt seccomp=unconfined)."
        )
    return found or ["Run it on a machine, or in a container, that allows them."]


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (FileNotFoundError, ValueError):
        return -1


def _seccomp_mode() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Seccomp:"):
            return int(line.split()[1])
    return 0
