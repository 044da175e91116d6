"""Limits where a process may make changes, landlock(7): for where no mount namespace does."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import Iterable

from strata.namespace import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1
_WRITE_FILE = 1 << 1
# Removing and making files of every type, and moving them to another folder.
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 14))
_TRUNCATE = 1 << 14
#: Version 1 forbids every move to another folder, which no build could live with.
_LEAST_VERSION = 2
_TRUNCATE_VERSION = 3


def version() -> int:
    """The version of landlock that the kernel has; 0 if it has none, or has it turned off."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    except OSError:
        return 0


def allow_changes(folders: Iterable[Path]) -> bool:
    """Lets this process and its children change files only below ``folders``, and write to devices.

    False where the kernel is too old for it: then the executor's own sandbox has to do.
    """
    known = version()
    if known < _LEAST_VERSION:
        return False
    rights = _CHANGES | (_TRUNCATE if known >= _TRUNCATE_VERSION else 0)
    attributes = struct.pack("=Q", rights)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for folder in folders:
            _allow(ruleset, folder, rights)
        _allow(ruleset, Path("/dev"), _WRITE_FILE)
        linux.forbid_new_privileges()
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, folder: Path, rights: int) -> None:
    handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, handle)
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    return linux.checked(linux.system_call(number, *arguments), "landlock")
