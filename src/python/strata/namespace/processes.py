"""Child processes: how they start, how one waits for them, and how all of them end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import Callable, NoReturn, Set

from strata.errors import StrataError
from strata.namespace import linux

_CRASHED = 70


def fork_child(body: Callable[[], int]) -> int:
    """The process number of a child that runs ``body`` and ends with its exit code.

    It dies with this process, and a StrataError of ``body`` is printed.
    """
    child = _fork()
    if not child:
        _become(body, tied=True)
    return child


def exit_code(status: int) -> int:
    """As shells have it: 128 and the number of the signal that killed a process."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def wait(child: int) -> int:
    return exit_code(os.waitpid(child, 0)[1])


class Parent:
    """Whoever started this process: when it ends, however it ends, so does what it asked for."""

    def __init__(self) -> None:
        # 0 is a parent outside of this PID namespace, which cannot be watched.
        number = os.getppid()
        self._handle = os.pidfd_open(number) if number else None

    def wait(self, child: int) -> int:
        """The exit code of ``child``, which is killed if the parent ends before."""
        if self._handle is not None and _first_to_end(child, self._handle) != child:
            os.kill(child, signal.SIGKILL)
        return wait(child)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)


def run_guarded(body: Callable[[], int], parent: Parent) -> int:
    """The exit code of ``body``, run in a child with no namespace that would end its processes.

    A guard between this process and the child, outside of their group, ends all that is left when
    one of them is gone; this process does the same if the guard is.
    """
    # Also for what is forked from here, until it starts another program.
    linux.hide_from_others()
    linux.adopt_orphans()
    caller = os.pidfd_open(os.getpid())

    def guard() -> int:
        # Signals for the group are for the caller, and it does not outlive the caller by much.
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        linux.adopt_orphans()

        def task() -> int:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            linux.adopt_orphans()
            return body()

        child = fork_child(task)
        code = wait(child) if _first_to_end(child, caller) == child else 1
        end_descendants()
        return code

    child = _fork()
    if not child:
        _become(guard, tied=False)
    os.close(caller)
    try:
        return parent.wait(child)
    finally:
        end_descendants()


def _first_to_end(child: int, handle: int) -> int:
    """``child`` if it ends before the process that ``handle`` is of, else 0."""
    own = os.pidfd_open(child)
    poll = select.poll()
    poll.register(own, select.POLLIN)
    poll.register(handle, select.POLLIN)
    try:
        return child if own in dict(poll.poll()) else 0
    finally:
        os.close(own)


def _fork() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    return os.fork()


def _become(body: Callable[[], int], tied: bool) -> NoReturn:
    code = _CRASHED
    try:
        if tied:
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


def end_descendants() -> None:
    """Kills all that this process and its children have started, and waits for it."""
    while True:
        seen: Set[int] = set()
        while found := _descendants(os.getpid()) - seen:
            # What is stopped starts nothing new.
            for process in found:
                _signal(process, signal.SIGSTOP)
            seen |= found
        for process in seen:
            _signal(process, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
            # All that have ended: to look at each of thousands once is enough.
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def end_namespace() -> None:
    """Kills every other process of the PID namespace that this one is process 1 of."""
    while True:
        _signal(-1, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _descendants(parent: int) -> Set[int]:
    found: Set[int] = set()
    todo = [parent]
    while todo:
        for children in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                new = {int(number) for number in children.read_text().split()} - found
                found |= new
                todo += new
    return found
