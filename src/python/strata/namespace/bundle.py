"""A bundle for runc (OCI runtime specification, "Filesystem Bundle" and "Configuration")."""

from __future__ import annotations

import os
from typing import Any, Dict, List

from strata.namespace.container import Container, Identity, full_environment

# What Docker gives, by name; see ``strata.namespace.step.ROOT_CAPABILITIES``.
_CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
    )
]  # fmt: skip


def runtime_config(
    container: Container, who: Identity, read_only: bool, terminal: bool
) -> Dict[str, Any]:
    """A bundle's ``config.json``; its root folder is ``rootfs``, its network the machine's."""
    kinds = ["pid", "ipc", "uts", "mount"]
    rootless = os.geteuid() != 0
    linux: Dict[str, Any] = {}
    if rootless:
        kinds.append("user")
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    kept = _CAPABILITIES if who.uid == 0 else []
    user: Dict[str, Any] = {"uid": who.uid, "gid": who.gid}
    if who.groups and not rootless:
        user["additionalGids"] = list(who.groups)
    return {
        "ociVersion": "1.0.2",
        "hostname": "localhost",
        "process": {
            "terminal": terminal,
            "user": user,
            "args": list(container.command),
            "env": [f"{name}={value}" for name, value in full_environment(container, who).items()],
            "cwd": container.folder,
            "capabilities": {
                "bounding": _CAPABILITIES,
                "effective": kept,
                "permitted": kept,
            },
        },
        "root": {"path": "rootfs", "readonly": read_only},
        "mounts": _mounts(rootless),
        "linux": linux,
    }


def _mounts(rootless: bool) -> List[Dict[str, Any]]:
    plain = ["nosuid", "noexec", "nodev"]
    terminals = [*plain[:2], "newinstance", "ptmxmode=0666", "mode=0620"]
    system = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*plain, "ro"]}
    if rootless:
        # Only who owns the network may mount a sysfs of it.
        system = {"destination": "/sys", "type": "none", "source": "/sys", "options": []}
        system["options"] = ["rbind", *plain, "ro"]
    mounts: List[Dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": terminals},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": plain},
        system,
    ]
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        if os.path.isfile(name):
            options = ["bind", "ro"]
            mounts.append({"destination": name, "type": "none", "source": name, "options": options})
    return mounts
