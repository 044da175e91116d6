"""A task in namespaces of its own: id map, mounts, processes, IPC, host name, network.

The task runs as process 1 of its PID namespace, in a tree of three: the caller, a child that enters
the namespaces, and the task. Each dies with its parent, and the namespace with its process 1, so
nothing survives the caller, or whoever started that, however they end.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Callable

from strata.namespace import linux
from strata.namespace.errors import NamespaceError
from strata.namespace.id_map import IdMap, IdMapKind
from strata.namespace.processes import Parent, fork_child, run_guarded, wait
from strata.namespace.signals import forward_to

_HOST_NAME = "localhost"
#: Begins the reason of a kernel that allows namespaces but no view of their processes.
HIDDEN_PROC = "mounting a /proc"


@dataclass(frozen=True)
class Isolation:
    """``network`` leaves the machine's network in; ``namespaces`` False leaves everything in."""

    id_map: IdMap
    network: bool = False
    namespaces: bool = True

    @property
    def flags(self) -> int:
        if not self.namespaces:
            return 0
        flags = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
        if not self.network:
            flags |= linux.CLONE_NEWNET
        if self.id_map.kind is not IdMapKind.NONE:
            flags |= linux.CLONE_NEWUSER
        return flags


def run_isolated(task: Callable[[], int], isolation: Isolation, forwards: bool = False) -> int:
    """The exit code of ``task``; 128 and the signal's number if one killed it.

    ``task`` gets copies of all open files, and sees the machine's mounts in a mount namespace of
    its own. With ``forwards`` it also gets the signals that this process gets. Raises
    NamespaceError if the kernel refuses a namespace.
    """

    def own_mask() -> int:
        # Whoever started this may have another one: folders must not depend on it.
        os.umask(0o022)
        return task()

    parent = Parent()
    try:
        if not isolation.namespaces:
            return run_guarded(own_mask, parent)
        return _run_in_namespaces(own_mask, isolation, forwards, parent)
    finally:
        parent.close()


def _run_in_namespaces(
    task: Callable[[], int], isolation: Isolation, forwards: bool, parent: Parent
) -> int:
    refused_out, refused_in = os.pipe()
    go_out, go_in = os.pipe()

    def enter() -> int:
        os.close(refused_out)
        os.close(go_in)
        return _enter(task, isolation, forwards, refused_in, go_out)

    child = fork_child(enter)
    os.close(refused_in)
    os.close(go_out)
    try:
        word = os.read(refused_out, 4096)
        if word != b"ok" and word:
            wait(child)
            raise NamespaceError(word.decode(errors="replace"))
        if word and isolation.flags & linux.CLONE_NEWUSER:
            try:
                isolation.id_map.write(child)
            except NamespaceError:
                os.kill(child, signal.SIGKILL)
                wait(child)
                raise
        if word:
            os.write(go_in, b"g")
    finally:
        os.close(refused_out)
        os.close(go_in)
    if forwards:
        forward_to(child)
    return parent.wait(child)


def _enter(
    task: Callable[[], int], isolation: Isolation, forwards: bool, refused: int, go: int
) -> int:
    try:
        linux.unshare(isolation.flags)
    except OSError as error:
        os.write(refused, str(error.strerror).encode())
        return 1
    os.write(refused, b"ok")
    os.close(refused)
    if os.read(go, 1) != b"g":
        return 1
    os.close(go)
    if isolation.id_map.kind is not IdMapKind.NONE:
        if isolation.id_map.holds_all_ids:
            os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    # Changing ids undid it.
    linux.die_with_parent()

    def first() -> int:
        linux.hide_from_others()
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        linux.set_host_name(_HOST_NAME)
        if not isolation.network:
            linux.bring_up_loopback()
        return task()

    child = fork_child(first)
    if forwards:
        forward_to(child)
    return wait(child)


def refusal(isolation: Isolation) -> str:
    """Why this machine does not allow ``isolation``; empty if it does."""
    answer_out, answer_in = os.pipe()

    def look() -> int:
        if isolation.namespaces:
            try:
                # Refused where parts of /proc are hidden, as in a usual container.
                linux.mount("proc", "/proc", "proc")
            except OSError as error:
                os.write(answer_in, f"{HIDDEN_PROC}: {os.strerror(error.errno)}".encode())
        return 0

    try:
        code = run_isolated(look, isolation)
    except NamespaceError as error:
        return str(error)
    finally:
        os.close(answer_in)
        with open(answer_out, "rb") as file:
            answer = file.read().decode()
    return f"a process in it ended with {code}" if code else answer
