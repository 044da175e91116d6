"""Names of images in registries, as container engines write them: ``HOST/REPOSITORY:TAG@DIGEST``.

The grammar is the OCI distribution specification's ("Pulling manifests") with what engines add:
a name without a registry's host means Docker Hub, and one without a ``/`` there its ``library``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from strata.errors import StrataError

DOCKER_HUB = "docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?"
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Reference:
    """``registry`` is a host with an optional port, ``repository`` has no host. ``tag`` and
    ``digest`` are empty where the name has none."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def at(self, digest: str) -> "Reference":
        return replace(self, tag="", digest=digest)

    def tagged(self, tag: str) -> "Reference":
        return replace(self, tag=tag, digest="")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def has_registry(name: str) -> bool:
    """Whether the first part of ``name`` is a registry's host, by the rule of container engines."""
    host, slash, _ = name.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def parse_reference(text: str, default_registry: str = DOCKER_HUB) -> Reference:
    """``[HOST/]REPOSITORY[:TAG][@DIGEST]``. There is no default tag.

    Raises StrataError for what is no such name, saying which part is wrong.
    """
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise StrataError(
            f"{text!r} has no digest after '@': that is 'sha256:' and 64 hexadecimal digits"
        )
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise StrataError(
            f"{text!r} has no valid tag: it may have up to 128 letters, digits, '_', '.' and '-', "
            "and starts with a letter, a digit or '_'"
        )
    name = f"{head}{slash}{last}"
    registry = default_registry
    if has_registry(name):
        registry, _, name = name.partition("/")
    if not _HOST.fullmatch(registry):
        raise StrataError(f"{text!r}: {registry!r} is no host of a registry, such as 'example.com'")
    if registry in ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"):
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and name and "/" not in name:
        name = f"library/{name}"
    if not _REPOSITORY.fullmatch(name) or len(registry) + 1 + len(name) > _LONGEST_NAME:
        raise StrataError(
            f"{text!r} is not the name of a repository: it may have lower-case letters, digits "
            "and, between those, '.', '_' and '-', with '/' between its parts and a registry's "
            f"host in front, and at most {_LONGEST_NAME} characters"
        )
    return Reference(registry, name, tag, digest)
