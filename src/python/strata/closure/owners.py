"""Declared owners, modes and file capabilities, by path pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from strata.archive.entry import Entry, EntryType
from strata.errors import StrataError

# capabilities(7), in the order of <linux/capability.h>.
CAPABILITIES = """
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
    sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time
    sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
    wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
""".split()  # noqa: SIM905
_CLAUSE = re.compile(r"(cap_[a-z_]+(?:,cap_[a-z_]+)*)[+=]([eip]+)")
_KEYS = {"paths", "uid", "gid", "mode", "capabilities"}
_REVISION_2 = 0x02000000
_EFFECTIVE = 0x000001
_XATTR = "security.capability"


@dataclass(frozen=True)
class OwnerRule:
    """``paths`` is a shell pattern of image paths without a leading slash. What is None stays as
    it is; ``capability`` is the value of the ``security.capability`` attribute."""

    paths: str
    uid: Optional[int] = None
    gid: Optional[int] = None
    mode: Optional[int] = None
    capability: Optional[bytes] = None


def parse_rules(rows: Sequence[Mapping[str, Any]]) -> List[OwnerRule]:
    """Raises StrataError for a rule with unknown keys or values that make no sense."""
    rules = []
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("paths"), str):
            raise StrataError(f"a rule is a dict with 'paths', a shell pattern, not {row!r}")
        unknown = sorted(set(row) - _KEYS)
        if unknown:
            raise StrataError(
                f"unknown key {unknown[0]!r} in the rule for {row['paths']!r}; the keys are "
                f"{', '.join(sorted(_KEYS))}"
            )
        if row["paths"].startswith("/"):
            raise StrataError(f"the pattern {row['paths']!r} must not start with a slash")
        rules.append(
            OwnerRule(
                row["paths"],
                _identifier(row, "uid"),
                _identifier(row, "gid"),
                _mode(row),
                encode_capabilities(row["capabilities"]) if "capabilities" in row else None,
            )
        )
    return rules


def _identifier(row: Mapping[str, Any], key: str) -> Optional[int]:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise StrataError(
            f"{key!r} of the rule for {row['paths']!r} must be a number, not {value!r}"
        )
    return int(value)


def _mode(row: Mapping[str, Any]) -> Optional[int]:
    value = row.get("mode")
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-7]{3,5}", value):
        raise StrataError(
            f"'mode' of the rule for {row['paths']!r} must be octal like '0750', not {value!r}"
        )
    return int(value, 8)


def encode_capabilities(text: str) -> bytes:
    """The ``security.capability`` attribute (revision 2) of text as setcap(8) takes it:
    ``cap_net_bind_service+ep``. Raises StrataError for anything else."""
    sets: Dict[str, int] = {"p": 0, "i": 0}
    effective = False
    clauses = text.split() if isinstance(text, str) else []
    for clause in clauses:
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            clauses = []
            break
        for name in match[1].split(","):
            if name[4:] not in CAPABILITIES:
                raise StrataError(f"there is no capability {name!r}")
            bit = 1 << CAPABILITIES.index(name[4:])
            for flag in match[2]:
                if flag == "e":
                    effective = True
                else:
                    sets[flag] |= bit
    if not clauses:
        raise StrataError(
            f"capabilities must be written as 'cap_net_bind_service+ep', not {text!r}"
        )
    words = [_REVISION_2 | (_EFFECTIVE if effective else 0)]
    for shift in (0, 32):
        words += [sets["p"] >> shift & 0xFFFFFFFF, sets["i"] >> shift & 0xFFFFFFFF]
    return b"".join(word.to_bytes(4, "little") for word in words)


def apply_rules(
    entries: Sequence[Entry], rules: Sequence[OwnerRule]
) -> Tuple[List[Entry], List[bool]]:
    """``entries`` with the rules applied in order, and which of the rules matched anything."""
    matched = [False] * len(rules)
    result = []
    for entry in entries:
        for index, rule in enumerate(rules):
            if fnmatchcase(entry.path, rule.paths):
                matched[index] = True
                entry = _applied(entry, rule)
        result.append(entry)
    return result, matched


def _applied(entry: Entry, rule: OwnerRule) -> Entry:
    changed = replace(
        entry,
        uid=entry.uid if rule.uid is None else rule.uid,
        gid=entry.gid if rule.gid is None else rule.gid,
    )
    # A symbolic link has no mode of its own, and only a file can have capabilities.
    if rule.mode is not None and entry.type is not EntryType.SYMLINK:
        changed = replace(changed, mode=rule.mode)
    if rule.capability is not None and entry.type is EntryType.FILE:
        changed = replace(changed, xattrs={**entry.xattrs, _XATTR: rule.capability})
    return changed
