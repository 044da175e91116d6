"""``strata check-namespaces``: prints how this machine can run an image's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from strata.namespace.machine import PLAIN, Finding, examine, may_change_root, remedies, ways

_MEANINGS = {
    "full": "a user namespace with all ids",
    "subordinate": "a user namespace with the user's subordinate ids",
    "single": "a user namespace with one id",
    "root": "namespaces without a user namespace",
    PLAIN: "no namespaces",
}


def run(spec: Dict[str, Any], out: Path) -> None:
    found = {name: examine(isolation) for name, isolation in ways().items()}
    print("\n".join(describe(found, may_change_root())))


def describe(found: Dict[str, Finding], changes_root: bool) -> List[str]:
    """Lines for people, of ways by their names, the best first."""
    lines = ["Ways to run commands, the best first:"]
    lines += [f"  {_MEANINGS[name]}: {_outcome(finding)}" for name, finding in found.items()]
    working = [name for name, finding in found.items() if not finding.refusal]
    into_image = [name for name in working if name != PLAIN or changes_root]
    lines.append("")
    for what, names in (
        ("extra_commands, and fakeroot_commands in the customisation tree", working),
        ("fakeroot_commands with fakeroot_chroot", into_image),
    ):
        lines.append(f"{what}: {f'with {_MEANINGS[names[0]]}' if names else 'not on this machine'}")
    refused = [finding.refusal for finding in found.values()]
    if not into_image or into_image[0] in ("root", PLAIN):
        lines += ["", "What would help:", *(f"  {remedy}" for remedy in remedies(refused))]
    return lines


def _outcome(finding: Finding) -> str:
    if finding.refusal:
        return f"refused ({finding.refusal})"
    notes = []
    if finding.overlays:
        notes.append(f"layers are copied, since {finding.overlays}")
    if finding.recorded:
        notes.append(f"{' and '.join(finding.recorded)} are recorded, and not set")
    return "; ".join(["works", *notes])
