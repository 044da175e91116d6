"""Writes ``releases.json``, the fixed script of changes, by a policy that knows no strategy.

Forty weekly releases. Every week the code changes, and up to five wheels are brought to what the
index had, as a bot with the usual limit of five open changes does it; those that have been out of
date the longest come first. Every eighth week the Debian lock is made anew and brings a fifth of
the updates that are due, all packages of one source at once.

    PYTHONPATH=benchmarks:src/python python3 -m release_history.write_releases
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from release_history.repository import SOURCES

RELEASES = 40
#: Weeks between two looks at the index (``gather.DATES``).
WEEKS_BETWEEN_DATES = 10
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Policy:
    """How many wheels a week brings at most, in which weeks Debian's updates come, and a seed for
    which code changes."""

    wheels: int = 5
    debian_weeks: Tuple[int, ...] = (5, 13, 21, 29, 37)
    seed: int = 20250106


def wheel_updates(states: List[Dict[str, str]], limit: int) -> List[Dict[str, str]]:
    """``states`` are versions by name at each date; returns what each release brings."""
    current = dict(states[0])
    outdated_since: Dict[str, int] = {}
    result: List[Dict[str, str]] = []
    for week in range(1, RELEASES + 1):
        newest = states[min(week // WEEKS_BETWEEN_DATES, len(states) - 1)]
        for name, version in newest.items():
            if name not in current:
                # Something that a newer version of another one has begun to need.
                current[name] = version
            elif version != current[name]:
                outdated_since.setdefault(name, week)
        due = sorted(outdated_since, key=lambda name: (outdated_since[name], name))
        bumped = {name: newest[name] for name in due[:limit] if name in newest}
        for name in due[:limit]:
            del outdated_since[name]
        current.update(bumped)
        result.append(bumped)
    return result


def package_updates(
    objects: Dict[str, Dict[str, Any]], sources: Dict[str, str], weeks: Tuple[int, ...]
) -> Dict[int, Any]:
    """By week: the next version of each package whose source is due."""
    due: Dict[str, List[Tuple[str, str]]] = {}
    for name, versions in objects.items():
        for number, version in enumerate(list(versions)[1:], 1):
            if name.startswith("debian:"):
                due.setdefault(f"{number} {sources[name]}", []).append((name, version))
    groups = [dict(due[key]) for key in sorted(due)]
    share = -(-len(groups) // len(weeks))
    result: Dict[int, Dict[str, str]] = {}
    for index, week in enumerate(weeks):
        result[week] = {}
        for group in groups[index * share : (index + 1) * share]:
            result[week].update(group)
    return result


def code_edits(seed: int) -> List[Dict[str, int]]:
    """For each release the targets that are edited and their new sizes."""
    chance = random.Random(seed)
    sizes = {name: size for name, (size, _) in SOURCES.items()}
    # An image's own code changes more often than what it shares with others.
    weights = {name: 1 if name.startswith("common/") else 3 for name in sizes}
    result = []
    for _ in range(RELEASES):
        names = chance.choices(sorted(sizes), [weights[n] for n in sorted(sizes)], k=4)
        chosen = sorted(set(names[: chance.randint(1, 4)]))
        for name in chosen:
            sizes[name] += chance.randint(-40, 400)
        result.append({f"source:{name}": sizes[name] for name in chosen})
    return result


def changes(gathered: Dict[str, Any], policy: Policy) -> List[Dict[str, Any]]:
    """What each release brings: new versions, and edited targets with their sizes."""
    wheels = wheel_updates(gathered["states"], policy.wheels)
    packages = package_updates(gathered["objects"], gathered["sources"], policy.debian_weeks)
    return [
        {"versions": {**bumped, **packages.get(number, {})}, "edited": edited}
        for number, (bumped, edited) in enumerate(zip(wheels, code_edits(policy.seed)), 1)
    ]


def main() -> None:
    gathered = json.loads((_FOLDER / "objects.json").read_text(encoding="utf-8"))
    lines = [json.dumps(release, sort_keys=True) for release in changes(gathered, Policy())]
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    (_FOLDER / "releases.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
