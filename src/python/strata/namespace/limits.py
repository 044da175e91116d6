"""What this machine does not let commands really do, and has to be recorded."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Callable

from strata.namespace.id_map import IdMap
from strata.namespace.records import CAPABILITY_ATTRIBUTE, Recording


def cache_key(id_map: IdMap, recording: Recording) -> str:
    """Tells unpacked trees apart that differ on disk by what can be set there."""
    flags = "".join(
        letter
        for letter, on in (
            ("o", recording.owners),
            ("d", recording.devices),
            ("c", recording.capabilities),
        )
        if on
    )
    return f"{id_map.key}-{flags}" if flags else id_map.key


def find_limits(id_map: IdMap, folder: Path) -> Recording:
    """What has to be recorded, found by trying it in ``folder``."""
    device, file = folder / "device", folder / "file"
    file.touch()
    try:
        devices = not _is_allowed(lambda: os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3)))
        device.unlink(missing_ok=True)
        no_capabilities = (b"\0\0\0\x02" + bytes(16)).hex()
        capabilities = not _is_allowed(
            lambda: os.setxattr(file, CAPABILITY_ATTRIBUTE, bytes.fromhex(no_capabilities))
        )
        owners = not id_map.holds_all_ids or not _is_allowed(lambda: os.chown(file, 1, 1))
    finally:
        file.unlink()
    return Recording(owners, devices, capabilities)


def _is_allowed(action: Callable[[], None]) -> bool:
    """EINVAL is the kernel's answer for ids that a user namespace around this process lacks."""
    try:
        action()
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL):
            raise
        return False
    return True
