"""Root folders for commands: the image's own, or one with this machine's programs, read-only."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Iterable, List, Sequence

from strata.errors import StrataError
from strata.namespace import linux
from strata.namespace.errors import NamespaceError
from strata.namespace.inside import inside

_HOST_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_HOST_FILES = (
    "etc/alternatives",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
)
#: What names of hosts mean, wherever a network is.
HOST_FILES = ("etc/resolv.conf", "etc/hosts")
#: With it, what this machine's programs need to use a network.
_NETWORK_FILES = ("etc/nsswitch.conf", "etc/services", "etc/ssl/certs", "etc/pki/tls/certs")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
#: Parts of /proc through which root of a namespace could change or read what is the machine's.
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_HIDDEN = ("kcore", "keys", "latency_stats", "timer_list", "sched_debug", "acpi", "scsi")
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\n"


def make_host_root(root: Path, extra: Iterable[Path], network: bool) -> None:
    """Fills ``root`` with this machine's programs, read-only, and those in ``extra``; with
    ``network`` also with what those need to use one."""
    linux.mount("tmpfs", root, "tmpfs", 0, "mode=755")
    for name in ("etc", "root", "tmp", "proc", "sys", "dev", "build"):
        (root / name).mkdir()
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    for name in _HOST_FOLDERS:
        _show(Path("/") / name, root / name)
    for name in _HOST_FILES:
        _show(Path("/") / name, root / name)
    for name in (*HOST_FILES, *_NETWORK_FILES) if network else ():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        _show((Path("/") / name).resolve(), root / name)
    shown = tuple(f"/{name}/" for name in _HOST_FOLDERS)
    for path in sorted({path.resolve() for path in extra}):
        top = Path("/") / path.parts[1]
        if not str(path).startswith(shown) and not (root / top.name).exists():
            _show(top, root / top.name)


def _show(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    elif source.is_dir():
        target.mkdir()
        linux.mount(source, target, flags=linux.MS_BIND | linux.MS_REC)
        linux.make_read_only(target)
    elif source.exists():
        target.touch()
        linux.mount(source, target, flags=linux.MS_BIND)
        linux.make_read_only(target)


def show_host(root: Path, names: Iterable[str]) -> None:
    """Files of this machine, read-only, in the places of the root's own, where it has folders."""
    for name in names:
        source, target = Path("/") / name, inside(root, name)
        if source.is_file() and target.parent.is_dir():
            target.touch()
            linux.mount(source, target, flags=linux.MS_BIND)
            linux.make_read_only(target)


class LentFiles:
    """Copies of this machine's files in the places of the root's own, until ``restore``."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self._root = root
        self._lent = []
        for name in names:
            source, target = Path("/") / name, root / name
            # A folder that is a link may lead out of the root.
            if source.is_file() and target.parent.is_dir() and not target.parent.is_symlink():
                kept = target.with_name(f".strata-{target.name}")
                if os.path.lexists(target):
                    target.rename(kept)
                shutil.copyfile(source, target)
                self._lent.append((target, kept))

    def restore(self) -> None:
        for target, kept in self._lent:
            if target.parent.is_symlink() or not target.parent.is_dir():
                continue
            target.unlink(missing_ok=True)
            if os.path.lexists(kept):
                kept.rename(target)


def mount_points(root: Path, names: Sequence[str]) -> List[Path]:
    """Makes folders of ``root`` to mount on, and returns those that were not there.

    Raises StrataError if the image has something else in such a place.
    """
    made = []
    for name in names:
        path = root / name
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise StrataError(
                f"/{name} of the image is no folder, and commands need one there; remove it from "
                "the base image or the contents"
            )
        if not path.exists():
            path.mkdir(0o755)
            made.append(path)
    return made


def mount_system(root: Path, own_folders: bool = True) -> None:
    """A fresh /proc and /dev in ``root``, for the processes of this PID namespace; with
    ``own_folders`` also a fresh /tmp, and a /sys with nothing in it."""
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    proc = root / "proc"
    linux.mount("proc", proc, "proc", flags)
    for name in _PROC_READ_ONLY:
        if (proc / name).exists():
            linux.mount(proc / name, proc / name, flags=linux.MS_BIND | linux.MS_REC)
            linux.make_read_only(proc / name)
    for name in _PROC_HIDDEN:
        if (proc / name).is_dir():
            linux.mount("tmpfs", proc / name, "tmpfs", linux.MS_RDONLY, "size=0")
        elif (proc / name).exists():
            linux.mount("/dev/null", proc / name, flags=linux.MS_BIND)
    _mount_devices(root / "dev")
    if own_folders:
        # Empty: what is on this machine is not for a build to know.
        linux.mount("tmpfs", root / "sys", "tmpfs", linux.MS_RDONLY, "size=0")
        linux.mount("tmpfs", root / "tmp", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")


def _mount_devices(dev: Path) -> None:
    linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID, "mode=755,size=64k")
    for name in _DEVICES:
        source = Path("/dev") / name
        if source.exists():
            (dev / name).touch()
            linux.mount(source, dev / name, flags=linux.MS_BIND)
    for name, target in _DEVICE_LINKS.items():
        (dev / name).symlink_to(target)
    (dev / "shm").mkdir(0o1777)
    linux.mount("tmpfs", dev / "shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    (dev / "pts").mkdir()
    linux.mount("devpts", dev / "pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")


class PrivateFolders:
    """Fresh folders in the places of a root's own, where nothing can be mounted on those.

    ``aside`` is an empty folder that keeps the root's own until ``restore``.
    """

    def __init__(self, root: Path, aside: Path, names: Sequence[str]) -> None:
        self._made = mount_points(root, names)
        self._pairs = [(root / name, aside / name) for name in names]
        for path, kept in self._pairs:
            path.rename(kept)
            path.mkdir(0o755)
            if path.name == "tmp":
                path.chmod(0o1777)

    def restore(self) -> None:
        for path, kept in self._pairs:
            shutil.rmtree(path)
            kept.rename(path)
        for path in self._made:
            path.rmdir()


def make_devices(dev: Path) -> None:
    """The usual device nodes, where they cannot be mounted. Raises NamespaceError if root of this
    machine, or container, may make none."""
    for name in _DEVICES:
        source = Path("/dev") / name
        if source.exists():
            try:
                os.mknod(dev / name, stat.S_IFCHR | 0o666, source.stat().st_rdev)
            except PermissionError as error:
                raise NamespaceError(
                    "this machine allows neither namespaces nor device nodes, and commands need "
                    "one or the other"
                ) from error
            (dev / name).chmod(0o666)
