"""Runs an image in namespaces, as container engines do, with nothing to install."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from strata.errors import StrataError
from strata.namespace import linux, seccomp, signals
from strata.namespace.container import Container, Identity, full_environment, identity
from strata.namespace.inside import inside
from strata.namespace.isolation import Isolation, run_isolated
from strata.namespace.layer_cache import LayerCache, PackedLayer
from strata.namespace.limits import cache_key, find_limits
from strata.namespace.overlay import find_overlays
from strata.namespace.processes import end_namespace, exit_code, fork_child
from strata.namespace.records import Recording
from strata.namespace.root import HOST_FILES, mount_points, mount_system, show_host
from strata.namespace.scratch import Scratch
from strata.namespace.step import ROOT_CAPABILITIES
from strata.namespace.tree import copy_tree

#: As shells and container engines have them.
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127


@dataclass(frozen=True)
class Image:
    """``layers`` from the bottom up. ``cache`` is where they are unpacked, and ``memory`` how much
    of it changes may take, as tmpfs(5) has it."""

    layers: Sequence[PackedLayer]
    container: Container
    cache: Path
    memory: str
    read_only: bool


def run_image(image: Image, isolation: Isolation, scratch: Path) -> int:
    """The exit code of the image's program, which has this process' files 0 to 2, and gets the
    signals that this process gets.

    ``scratch`` is an empty folder. Raises NamespaceError if the kernel refuses a namespace.
    """
    code = run_isolated(lambda: _first(image, isolation, scratch), isolation, forwards=True)
    signals.take_terminal_back()
    return code


def _first(image: Image, isolation: Isolation, scratch: Path) -> int:
    """In process 1 of the namespaces."""
    private = Scratch(scratch, image.cache, image.memory)
    root = _root(image, isolation, private.folder)
    who = identity(image.container.user, root)
    mount_points(root, ("proc", "dev", "sys"))
    _make_folder(root, image.container.folder)
    show_host(root, HOST_FILES)
    linux.mount(root, root, flags=linux.MS_BIND | linux.MS_REC)
    if image.read_only:
        linux.make_read_only(root)
    mount_system(root, own_folders=False)
    linux.mount("/sys", root / "sys", flags=linux.MS_BIND | linux.MS_REC)
    linux.make_read_only(root / "sys")
    last = linux.last_capability()

    def program() -> int:
        signals.as_usual()
        signals.take_terminal()
        linux.enter_root(root)
        return _become(image.container, who, isolation, last)

    child = fork_child(program)
    signals.forward_to(child)
    while True:
        # Process 1 has to bury everybody's orphans.
        process, status = os.waitpid(-1, 0)
        if process == child:
            end_namespace()
            private.remove()
            return exit_code(status)


def _make_folder(root: Path, path: str) -> None:
    try:
        inside(root, path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StrataError(
            f"{path}, the WorkingDir of the image's config, cannot be made: {error.strerror}"
        ) from error


def _root(image: Image, isolation: Isolation, scratch: Path) -> Path:
    for name in ("probe", "merged", "upper", "work", "names", "empty"):
        (scratch / name).mkdir()
    recording = find_limits(isolation.id_map, scratch)
    cache = LayerCache(image.cache, cache_key(isolation.id_map, recording), recording)
    merged = scratch / "merged"
    overlays = find_overlays(scratch / "probe")
    if not overlays:
        copy_tree(cache.unpack_together(image.layers).root, merged)
        return merged
    unpacked = cache.unpack(image.layers)
    roots = [*(layer.root for layer in reversed(unpacked)), scratch / "empty"]
    overlays.mount(roots, merged, scratch / "names", scratch / "upper", scratch / "work")
    return merged


def _call_itself(who: Identity) -> None:
    """With one id there is no other to change to: in a namespace of its own it has another name."""
    linux.unshare(linux.CLONE_NEWUSER)
    linux.own_proc_files()
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{who.uid} 0 1\n")
    (own / "gid_map").write_text(f"{who.gid} 0 1\n")


def _become(container: Container, who: Identity, isolation: Isolation, last: int) -> int:
    program_filter = seccomp.program(Recording(False, False, False))
    is_root = who.uid == 0
    if not isolation.id_map.holds_all_ids:
        if (who.uid, who.gid) != (0, 0):
            _call_itself(who)
        seccomp.install(program_filter, listen=False)
        linux.limit_capabilities(ROOT_CAPABILITIES if is_root else (), last)
    else:
        seccomp.install(program_filter, listen=False)
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
        if not is_root:
            # Gives up all capabilities but those that a file brings; their bound stays.
            linux.bound_capabilities(ROOT_CAPABILITIES, last)
            os.setresuid(who.uid, who.uid, who.uid)
        else:
            linux.limit_capabilities(ROOT_CAPABILITIES, last)
    os.chdir(container.folder)
    environment = full_environment(container, who)
    try:
        os.execvpe(container.command[0], container.command, environment)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        print(f"{container.command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return _NOT_FOUND if missing else _NOT_EXECUTABLE
