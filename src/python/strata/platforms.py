"""Platforms of images, and what others call them.

Images name platforms as Go does (OCI image specification, "Image Index", ``platform``); Debian,
Python and the kernel have names of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from strata.errors import StrataError

#: GOARCH to what the kernel (uname(2)) and Python (``platform.machine()``) call it.
MACHINES = {
    "386": "i686",
    "amd64": "x86_64",
    "arm": "armv7l",
    "arm64": "aarch64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
#: Debian's names of architectures to platforms, where it is not GOARCH.
_DEBIAN = {"i386": "386", "armhf": "arm/v7", "armel": "arm/v5", "ppc64el": "ppc64le"}
#: What a variant that nobody states stands for.
_USUAL_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
_VARIANTS = {
    "amd64": ("v1", "v2", "v3", "v4"),
    "arm": ("v5", "v6", "v7", "v8"),
    "arm64": ("v8", "v9"),
}


@dataclass(frozen=True, order=True)
class Platform:
    """A kind of Linux machine. ``architecture`` is a GOARCH; ``variant`` (``v7`` of ``arm``) is
    empty where it goes without saying."""

    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.architecture}/{self.variant}" if self.variant else self.architecture

    @property
    def machine(self) -> str:
        return MACHINES[self.architecture]

    def to_json(self) -> Dict[str, str]:
        """As an image's configuration and an index' descriptors have it."""
        platform = {"architecture": self.architecture, "os": "linux"}
        if self.variant:
            platform["variant"] = self.variant
        return platform

    @property
    def settled(self) -> "Platform":
        """With the variant that goes without saying."""
        usual = _USUAL_VARIANTS.get(self.architecture, "")
        return Platform(self.architecture, self.variant or usual)


def parse_platform(text: str) -> Platform:
    """Reads ``amd64`` or ``arm/v7``. Raises StrataError for anything else."""
    architecture, slash, variant = text.partition("/")
    if architecture not in MACHINES:
        raise StrataError(
            f"{text!r} is no architecture that images can have; the architectures are "
            f"{', '.join(sorted(MACHINES))}, 'arm' may be followed by a variant (arm/v7)"
        )
    if slash and variant not in _VARIANTS.get(architecture, ()):
        known = ", ".join(_VARIANTS.get(architecture, ())) or "none"
        raise StrataError(f"{text!r}: {architecture} has no variant {variant!r} (it has: {known})")
    return Platform(architecture, variant)


def debian_platform(architecture: str) -> Platform:
    """The platform that packages of a Debian architecture are for."""
    name, _, variant = _DEBIAN.get(architecture, architecture).partition("/")
    return Platform(name, variant)


def debian_architecture(offered: Iterable[str], platform: Platform) -> Optional[str]:
    """Which of the ``offered`` Debian architectures runs best on ``platform``, or None."""
    found = [(debian_platform(name).settled, name) for name in offered]
    fitting = [(item.variant, name) for item, name in found if _runs(item, platform)]
    return max(fitting)[1] if fitting else None


def best_matches(offered: Sequence[Mapping[str, Any]], wanted: Platform) -> List[Mapping[str, Any]]:
    """Those of the ``offered`` descriptors (OCI) that run best on the ``wanted`` platform.

    A descriptor that says nothing about its platform fits every one. Of several variants that run,
    only the newest counts.
    """
    fitting = []
    for item in offered:
        said = item.get("platform", {})
        platform = Platform(
            said.get("architecture", wanted.architecture), said.get("variant", "")
        ).settled
        if said.get("os", "linux") == "linux" and _runs(platform, wanted):
            fitting.append((platform.variant, item))
    newest = max((variant for variant, _ in fitting), default="")
    return [item for variant, item in fitting if variant == newest]


def _runs(program: Platform, machine: Platform) -> bool:
    """Whether what is for ``program``, which is settled, runs on ``machine``: machines of a variant
    run what is for the ones before it."""
    return (
        program.architecture == machine.architecture and program.variant <= machine.settled.variant
    )
