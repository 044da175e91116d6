"""A task in namespaces of its own: id map, mounts, processes, IPC, host name, network.

The task runs as process 1 of its PID namespace, in a tree of three: the caller, a child that enters
the namespaces, and the task. Each dies with its parent, and the namespace with its process 1, so
nothing survives the caller, however it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import Callable, NoReturn

from strata.errors import StrataError
from strata.namespace import linux
from strata.namespace.errors import NamespaceError
from strata.namespace.id_map import IdMap, IdMapKind
from strata.namespace.signals import forward_to

_HOST_NAME = "localhost"


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
    if not isolation.namespaces:
        return _wait(_fork(lambda: _plain(task)))
    refused_out, refused_in = os.pipe()
    go_out, go_in = os.pipe()

    def enter() -> int:
        os.close(refused_out)
        os.close(go_in)
        return _enter(task, isolation, forwards, refused_in, go_out)

    child = _fork(enter)
    os.close(refused_in)
    os.close(go_out)
    try:
        word = os.read(refused_out, 4096)
        if word != b"ok" and word:
            _wait(child)
            raise NamespaceError(word.decode(errors="replace"))
        if word and isolation.flags & linux.CLONE_NEWUSER:
            try:
                isolation.id_map.write(child)
            except NamespaceError:
                os.kill(child, signal.SIGKILL)
                _wait(child)
                raise
        if word:
            os.write(go_in, b"g")
    finally:
        os.close(refused_out)
        os.close(go_in)
    if forwards:
        forward_to(child)
    return _wait(child)


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

    child = _fork(first)
    if forwards:
        forward_to(child)
    return _wait(child)


def _plain(task: Callable[[], int]) -> int:
    linux.adopt_orphans()
    return task()


def _fork(body: Callable[[], int]) -> int:
    """A child that runs ``body`` and ends with its exit code, and with this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    _run_child(body)


def _run_child(body: Callable[[], int]) -> NoReturn:
    code = 70
    try:
        linux.die_with_parent()
        code = body()
    except StrataError as error:
        print(error, file=sys.stderr)
        code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def fork_child(body: Callable[[], int]) -> int:
    """The process number of a child that runs ``body``; it dies with this process."""
    return _fork(body)


def _wait(child: int) -> int:
    return exit_code(os.waitpid(child, 0)[1])


def exit_code(status: int) -> int:
    """As shells have it: 128 and the number of the signal that killed a process."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def refusal(isolation: Isolation) -> str:
    """Why this machine does not allow ``isolation``; empty if it does."""
    try:
        code = run_isolated(lambda: 0, isolation)
    except NamespaceError as error:
        return str(error)
    return f"a process in it ended with {code}" if code else ""
