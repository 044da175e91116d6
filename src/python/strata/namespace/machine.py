"""Which namespaces this machine allows, and what to change where it allows none."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Dict, Iterable, List, Tuple

from strata.namespace import linux
from strata.namespace.errors import NamespaceError
from strata.namespace.id_map import IdMap, IdMapKind, candidates
from strata.namespace.isolation import HIDDEN_PROC, Isolation, refusal, run_isolated
from strata.namespace.limits import find_limits
from strata.namespace.overlay import Overlays, kernel_overlays

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
            refused.append(
                f"{name}: only root with CAP_SYS_CHROOT and CAP_MKNOD may change its root folder"
            )
            continue
        reason = refusal(isolation)
        if not reason:
            return isolation
        refused.append(f"{name}: {reason}")
    advice = " ".join(remedies(refused))
    raise NamespaceError(f"this machine cannot run the commands ({'; '.join(refused)}). {advice}")


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
    refused = refusal(isolation)
    if refused:
        return Finding(refused)
    answer_out, answer_in = os.pipe()

    def look() -> int:
        with tempfile.TemporaryDirectory(prefix="strata-") as name:
            folder = Path(name)
            overlays = Overlays("there are no mounts")
            if isolation.namespaces:
                linux.mount("tmpfs", folder, "tmpfs", 0, "mode=700")
                overlays = kernel_overlays(folder / "overlays")
            limits = find_limits(isolation.id_map, folder)
            recorded = [field.name for field in fields(limits) if getattr(limits, field.name)]
            os.write(answer_in, json.dumps([overlays.refusal, recorded]).encode())
            if isolation.namespaces:
                linux.unmount(folder)
        return 0

    try:
        code = run_isolated(look, isolation)
    finally:
        os.close(answer_in)
        with open(answer_out, "rb") as file:
            answer = file.read()
    if code:
        return Finding(f"a process in it ended with {code}")
    overlays, recorded = json.loads(answer)
    return Finding("", overlays, tuple(recorded))


def may_change_root() -> bool:
    """Whether this process may do so, and make the device nodes that every program needs there."""
    needed = 1 << linux.CAP_SYS_CHROOT | 1 << linux.CAP_MKNOD
    return linux.effective_capabilities() & needed == needed


def remedies(refused: Iterable[str], root: Path = Path("/")) -> List[str]:
    """What the administrator of this machine can change, as far as can be seen from here.

    ``refused`` are the kernel's reasons; ``root`` is the folder that holds ``proc``.
    """
    found = []
    if _number(root / "proc/sys/user/max_user_namespaces") == 0:
        found.append("Set the sysctl user.max_user_namespaces to more than 0.")
    if _number(root / "proc/sys/kernel/unprivileged_userns_clone") == 0:
        found.append("Set the sysctl kernel.unprivileged_userns_clone to 1.")
    if _number(root / "proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1:
        found.append(
            "AppArmor restricts them, as on Ubuntu since 23.10: set the sysctl "
            "kernel.apparmor_restrict_unprivileged_userns to 0, or give the Python that runs this "
            "an AppArmor profile with `userns,`."
        )
    if _seccomp_mode(root) == 2:
        found.append(
            "A seccomp filter is on, as in a usual container: start it with one that allows "
            "unshare and mount (docker run --security-opt seccomp=unconfined)."
        )
    if any(HIDDEN_PROC in reason for reason in refused):
        found.append(
            "Parts of /proc are hidden, as in a usual container: start it with all of it "
            "(docker run --security-opt systempaths=unconfined)."
        )
    return found or ["Run it on a machine, or in a container, that allows them."]


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return -1


def _seccomp_mode(root: Path) -> int:
    for line in (root / "proc/self/status").read_text().splitlines():
        if line.startswith("Seccomp:"):
            return int(line.split()[1])
    return 0
