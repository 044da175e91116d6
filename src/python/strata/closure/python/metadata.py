"""What wheels say about themselves: references, supported interpreters and platforms.

Follows "Core metadata", "Dependency specifiers", "Platform compatibility tags" and "Version
specifiers" of the Python packaging user guide, evaluated for the image's interpreter and not for
the one that runs this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename

from strata.closure.python.wheel import normalized
from strata.errors import StrataError
from strata.platforms import MACHINES

#: What is longer is a licence's text and not its name.
_LICENSE_LENGTH = 200


@dataclass(frozen=True)
class PythonPlatform:
    """The image's CPython: ``version`` is full (``3.11.2``), ``architecture`` a GOARCH and
    ``libc`` the version of glibc, empty if unknown."""

    version: str
    architecture: str
    libc: str = ""

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])

    def markers(self) -> Dict[str, str]:
        """The environment that dependency specifiers are evaluated in."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.version,
            "os_name": "posix",
            "platform_machine": MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.version,
            "python_version": self.minor,
            "sys_platform": "linux",
        }


@dataclass(frozen=True)
class WheelMetadata:
    """``name`` is normalised; ``requires`` are dependency specifiers as they were written.
    ``licenses`` are as the wheel states them: ``License-Expression`` alone, or else a ``License``
    of one line, or else classifiers."""

    name: str
    version: str
    requires: Tuple[str, ...] = ()
    requires_python: str = ""
    licenses: Tuple[str, ...] = ()


def parse_metadata(text: str) -> WheelMetadata:
    headers = HeaderParser().parsestr(text)
    return WheelMetadata(
        normalized(headers["Name"]),
        headers["Version"],
        tuple(headers.get_all("Requires-Dist") or ()),
        headers["Requires-Python"] or "",
        _licenses(headers),
    )


def _licenses(headers: Message) -> Tuple[str, ...]:
    """Many wheels have the whole text of a licence in ``License``, or a word that says nothing."""
    for key in ("License-Expression", "License"):
        text = (headers[key] or "").strip()
        if text and text.upper() != "UNKNOWN" and "\n" not in text and len(text) <= _LICENSE_LENGTH:
            return (text,)
    prefix = "License :: "
    found = [text for text in headers.get_all("Classifier") or () if text.startswith(prefix)]
    return tuple(sorted({text.rpartition(" :: ")[2] for text in found} - {"OSI Approved"}))


def wheel_references(
    wheels: Sequence[WheelMetadata], roots: Iterable[str], platform: PythonPlatform
) -> Dict[str, Tuple[str, ...]]:
    """Which wheels each wheel refers to, by name.

    ``roots`` are the dependency specifiers that the resolve started from: they say which extras
    are wanted, and extras pass on along references until nothing new is found. A requirement
    that no wheel satisfies (one that was excluded on purpose) is no reference.
    """
    by_name = {wheel.name: wheel for wheel in wheels}
    environment = platform.markers()
    extras: Dict[str, Set[str]] = {name: set() for name in by_name}
    references: Dict[str, Set[str]] = {name: set() for name in by_name}
    pending: List[str] = list(by_name)
    for text in roots:
        requirement = Requirement(text)
        extras.setdefault(normalized(requirement.name), set()).update(_spellings(requirement))
    while pending:
        name = pending.pop()
        for text in by_name[name].requires:
            requirement = Requirement(text)
            target = normalized(requirement.name)
            if target not in by_name or not _applies(requirement, environment, extras[name]):
                continue
            new = _spellings(requirement) - extras[target]
            if target != name:
                references[name].add(target)
            if new:
                extras[target] |= new
                pending.append(target)
    return {name: tuple(sorted(targets)) for name, targets in references.items()}


def _spellings(requirement: Requirement) -> Set[str]:
    """The extras that are asked for, as written and normalised: metadata may have either."""
    return {name for extra in requirement.extras for name in (extra, normalized(extra))}


def _applies(requirement: Requirement, environment: Mapping[str, str], extras: "Set[str]") -> bool:
    if requirement.marker is None:
        return True
    return any(
        requirement.marker.evaluate({**environment, "extra": extra}) for extra in (extras or {""})
    ) or requirement.marker.evaluate({**environment, "extra": ""})


def check_wheel(file_name: str, wheel: WheelMetadata, platform: PythonPlatform) -> None:
    """Raises StrataError if the wheel does not run on the image's interpreter and platform."""
    if platform.version not in SpecifierSet(wheel.requires_python, prereleases=True):
        raise StrataError(
            f"the wheel {file_name} requires Python {wheel.requires_python}, and the image's "
            f"interpreter is {platform.version}; choose another version of {wheel.name}, or "
            "another interpreter in debian_packages"
        )
    _, _, _, tags = parse_wheel_filename(file_name)
    if any(
        _supports_python(tag.interpreter, tag.abi, platform)
        and _supports_platform(tag.platform, platform)
        for tag in tags
    ):
        return
    python = platform.minor.replace(".", "")
    machine = MACHINES[platform.architecture]
    libc = f" with glibc {platform.libc}" if platform.libc else ""
    raise StrataError(
        f"the wheel {file_name} does not fit the image: its interpreter is CPython "
        f"{platform.minor} (cp{python}) on Linux {machine}{libc}. Resolve the pex_binary for that, "
        f'with interpreter_constraints=["CPython=={platform.minor}.*"] or complete_platforms'
    )


def _supports_python(interpreter: str, abi: str, platform: PythonPlatform) -> bool:
    match = re.fullmatch(r"(cp|py)(\d)(\d*)", interpreter)
    if match is None:
        return False
    major, minor = (int(part) for part in platform.minor.split("."))
    wanted = int(match[3]) if match[3] else 0
    if int(match[2]) != major or wanted > minor:
        return False
    if abi in ("none", "abi3"):
        return match[1] == "py" or abi == "abi3" or wanted == minor
    return wanted == minor and abi in (interpreter, f"{interpreter}m")


def _supports_platform(tag: str, platform: PythonPlatform) -> bool:
    if tag == "any":
        return True
    machine = MACHINES[platform.architecture]
    if tag == f"linux_{machine}":
        return True
    old = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
    match = re.fullmatch(rf"(manylinux1|manylinux2010|manylinux2014)_{machine}", tag)
    needed: Optional[Tuple[int, int]] = old[match[1]] if match else None
    if needed is None:
        match = re.fullmatch(rf"manylinux_(\d+)_(\d+)_{machine}", tag)
        if match is None:
            return False
        needed = (int(match[1]), int(match[2]))
    if not platform.libc:
        return True
    have = tuple(int(part) for part in platform.libc.split(".")[:2])
    return needed <= have


def check_constraints(constraints: Iterable[str], platform: PythonPlatform) -> None:
    """Raises StrataError if the image's interpreter satisfies none of Pants' interpreter
    ``constraints``. No constraints at all are satisfied by everything."""
    constraints = tuple(constraints)
    if not constraints or any(_satisfies(text, platform) for text in constraints):
        return
    raise StrataError(
        f"the image's interpreter is CPython {platform.version}, which does not satisfy the "
        f"interpreter constraints {' or '.join(constraints)}; change interpreter_constraints, or "
        "put another python3.N-minimal into debian_packages"
    )


def _satisfies(constraint: str, platform: PythonPlatform) -> bool:
    match = re.fullmatch(r"\s*([A-Za-z]*)(.*)", constraint)
    assert match is not None
    if match[1].lower() not in ("", "cpython"):
        return False
    return platform.version in SpecifierSet(match[2].strip(), prereleases=True)
