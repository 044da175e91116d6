"""The merged-/usr layout, which Debian has had since bookworm (Debian policy, 10.1).

``/bin``, ``/lib`` and their like are symbolic links into ``/usr`` in the image, so what a package
ships below them lies below ``/usr``.
"""

from __future__ import annotations

import posixpath

_MERGED = frozenset(("bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"))


def merged(path: str) -> str:
    """Where a path, relative to the image's root, lies once /usr is merged."""
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path


def relocated_link(name: str, path: str, target: str) -> str:
    """The text that makes a symbolic link, moved from ``name`` to ``path``, mean what it meant.

    Absolute targets and those that still reach their file stay as they are.
    """
    if name == path or target.startswith("/"):
        return target
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    # The root's parent is the root, from wherever a link climbs to it.
    if meant == ".." or meant.startswith("../"):
        return target
    moved = merged(meant)
    folder = posixpath.dirname(path)
    if posixpath.normpath(posixpath.join(folder, target)) == moved:
        return target
    return posixpath.relpath("/" + moved, "/" + folder)


def points_at_itself(path: str, target: str) -> bool:
    """Whether a link such as /bin/sh -> /usr/bin/sh lost its meaning when /usr was merged."""
    meant = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target))
    return merged(meant.lstrip("/")) == path
