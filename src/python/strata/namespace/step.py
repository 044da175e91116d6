"""One script, run as root of a root folder, with what it wrote and where it failed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

from strata.namespace import landlock, linux, seccomp
from strata.namespace.processes import end_descendants, end_namespace, exit_code, fork_child
from strata.namespace.records import Recording, Records
from strata.namespace.supervisor import Supervisor

_KEPT_OUTPUT = 256 << 10
_REPORT = 9
PROCESSES = 4096
#: From this release on a PID namespace has a limit of its own; before, it is the machine's.
_OWN_PID_LIMIT = (6, 14)
_LOOK_SECONDS = 0.1
_OPEN_FILES = 65536
#: The numbers of <linux/capability.h> that Docker's default set has, too: what builds need.
ROOT_CAPABILITIES: FrozenSet[int] = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
#: Enough to change every file of a tree, and to give none away.
USER_CAPABILITIES: FrozenSet[int] = frozenset({1, 3})
# Bash complains about a locale that the image does not have; programs just go on without it.
# A function of ours that stands for a tool is reported as the command that it is called by.
_PRELUDE = r"""
{ export LC_ALL=C.UTF-8; } 2>/dev/null
strata_report() {
    local parts=$1 line=$2 command=${3%%$'\n'*} caller=${4-} called_at=$5
    shift 5
    if [[ -n $caller && " $STRATA_TOOLS " == *" $caller "* ]]; then
        line=$called_at command="$caller $*"
    elif (( parts > 1 )); then
        command="… | $command"
    fi
    printf '%s\t%s\n' "$line" "$command" >&9
}
trap 'strata_report "${#PIPESTATUS[@]}" "$LINENO" "$BASH_COMMAND" "${FUNCNAME[0]-}" \
    "${BASH_LINENO[0]}" "$@"' ERR
set -Eeuo pipefail
"""


@dataclass(frozen=True)
class Step:
    """``shell`` starts bash. ``prepare`` makes the root folder, in a mount namespace of its own.

    Without ``prepare`` there are no namespaces: chroot(2) is called with ``root``, unless it is
    ``/``; ``writable`` are the only folders to change, and ``pretend_root`` tells the commands
    that they are root. ``capabilities`` None leaves them as they are. ``set_user_id`` lets programs
    give whom they belong to, and their file capabilities, to who starts them. ``timeout`` is in
    seconds.
    """

    script: str
    shell: Sequence[str]
    root: Path
    folder: str
    environment: Dict[str, str]
    timeout: float
    capabilities: Optional[FrozenSet[int]]
    recording: Recording
    prepare: Optional[Callable[[], None]]
    functions: str = ""
    offline: bool = False
    pretend_root: bool = False
    writable: Tuple[Path, ...] = ()
    set_user_id: bool = False


class StopReason(Enum):
    TIME = "time"
    PROCESSES = "processes"


@dataclass(frozen=True)
class StepResult:
    """``failed`` is the line of the script that failed, as ``<number>\\t<command>``, if any."""

    code: int
    output: str
    failed: str
    stopped_for: Optional[StopReason]
    rows: List[List[int]] = field(default_factory=list)


def limit_processes(proc: Path) -> None:
    """Limits the PID namespace that ``proc`` shows, on kernels where it can be: the limit of
    processes of a user (RLIMIT_NPROC) does not hold for root of the machine."""
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if release >= _OWN_PID_LIMIT:
        (proc / "sys/kernel/pid_max").write_text(str(2 * PROCESSES))


def run_step(step: Step, records: Records, processes: Optional[Path]) -> StepResult:
    """Runs in process 1 of a PID namespace, where it ends every other process afterwards.

    ``processes`` is a proc(5) of that namespace. Without one there is no namespace: processes are
    not counted, and all descendants of this one are ended.
    """
    output_out, output_in = os.pipe()
    report_out, report_in = os.pipe()
    table_out, table_in = os.pipe()

    def supervise() -> int:
        for descriptor in (output_out, report_out, table_out):
            os.close(descriptor)
        return _supervise(step, records, output_in, report_in, table_in)

    child = fork_child(supervise)
    for descriptor in (output_in, report_in, table_in):
        os.close(descriptor)
    output, code, stopped_for = _watch(child, output_out, step.timeout, processes)
    if processes is None:
        end_descendants()
    else:
        end_namespace()
    rest = _drain(output_out)
    report = _drain(report_out).decode(errors="replace").splitlines()
    table = _drain(table_out)
    for descriptor in (output_out, report_out, table_out):
        os.close(descriptor)
    return StepResult(
        128 + signal.SIGKILL if code is None else code,
        (output + rest)[-_KEPT_OUTPUT:].decode(errors="replace"),
        report[-1] if report else "",
        stopped_for,
        json.loads(table) if table else [],
    )


def _watch(
    child: int, output: int, timeout: float, processes: Optional[Path]
) -> "tuple[bytes, Optional[int], Optional[StopReason]]":
    """What was written until ``child`` ended, and its exit code, or why it has to be stopped."""
    os.set_blocking(output, False)
    deadline = time.monotonic() + timeout
    kept = b""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(output, select.POLLIN)
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return kept, None, StopReason.TIME
            if processes is not None and _count(processes) > PROCESSES:
                return kept, None, StopReason.PROCESSES
            ready = dict(poll.poll(min(left, _LOOK_SECONDS) * 1000))
            if output in ready:
                part = _read(output)
                if part:
                    sys.stdout.buffer.write(part)
                    sys.stdout.buffer.flush()
                    kept = (kept + part)[-_KEPT_OUTPUT:]
                else:
                    poll.unregister(output)
            if ended in ready:
                return kept, exit_code(os.waitpid(child, 0)[1]), None
            _reap_orphans(child)
    finally:
        os.close(ended)


def _count(processes: Path) -> int:
    return sum(name.isdigit() for name in os.listdir(processes))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _drain(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    parts = []
    while part := _read(descriptor):
        parts.append(part)
    return b"".join(parts)


def _reap_orphans(child: int) -> None:
    """Takes the exit codes of processes that lost their parent, but not ``child``'s."""
    while True:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None or found.si_pid == child:
            return
        os.waitpid(found.si_pid, 0)


def _supervise(step: Step, records: Records, output: int, report: int, table: int) -> int:
    """Parent of the commands: makes their root, starts them, and answers their calls."""
    last = linux.last_capability()
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    if step.prepare is not None:
        linux.unshare(linux.CLONE_NEWNS)
        step.prepare()
        linux.enter_root(step.root)
        os.chdir("/proc")
    elif step.root != Path("/"):
        os.chroot(step.root)
        os.fchdir(proc)
    else:
        os.fchdir(proc)
    os.close(proc)
    listens = bool(step.recording)
    ours, theirs = socket.socketpair()

    def commands() -> int:
        ours.close()
        return _become_commands(step, output, report, theirs, last)

    child = fork_child(commands)
    theirs.close()
    os.close(output)
    os.close(report)
    ended = os.pidfd_open(child)
    if listens:
        received = socket.recv_fds(ours, 1, 1)[1]
        if received:
            Supervisor(received[0], step.recording, records).serve(ended)
            os.close(received[0])
    else:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.poll()
    os.close(ended)
    code = exit_code(os.waitpid(child, 0)[1])
    rows = json.dumps(records.rows()).encode()
    while rows:
        rows = rows[os.write(table, rows) :]
    return code


def _become_commands(
    step: Step, output: int, report: int, channel: socket.socket, last: int
) -> int:
    os.setsid()
    # Out of the way of the numbers that are given out below.
    output, report, handle = (
        fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _REPORT + 1)
        for number in (output, report, channel.fileno())
    )
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(report, _REPORT, inheritable=True)
    os.closerange(3, _REPORT)
    os.closerange(_REPORT + 1, handle)
    os.closerange(handle + 1, 4096)
    os.umask(0o022)
    os.chdir(step.folder)
    _limit(resource.RLIMIT_NPROC, PROCESSES)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    text = f"{step.functions}{_PRELUDE}. {step.script}\n"
    arguments = [*step.shell, "--noprofile", "--norc", "-c", text]
    program = os.fsencode(arguments[0])
    environment = dict(step.environment)
    if step.writable:
        landlock.allow_changes(step.writable)
    # Without CAP_SYS_ADMIN, as in a usual container, the filter asks for it too.
    is_admin = linux.effective_capabilities() >> linux.CAP_SYS_ADMIN & 1
    if step.set_user_id and is_admin and not step.recording.capabilities:
        _filter(step, handle)
        _limit_capabilities(step, last)
    else:
        linux.forbid_new_privileges()
        _limit_capabilities(step, last)
        _filter(step, handle)
    os.execve(program, arguments, environment)


def _limit_capabilities(step: Step, last: int) -> None:
    if step.capabilities is not None:
        linux.limit_capabilities(step.capabilities, last)


def _filter(step: Step, channel: int) -> None:
    """Filters calls, and sends the supervisor the filter's descriptor by the socket ``channel``."""
    program = seccomp.program(step.recording, step.offline, step.pretend_root)
    # From here on nothing may be imported or looked up: the filter already holds its calls back.
    listener = seccomp.install(program, bool(step.recording))
    if step.recording:
        with socket.socket(fileno=channel) as own:
            socket.send_fds(own, [b"f"], [listener])
        os.close(listener)


def _limit(kind: int, value: int) -> None:
    """Lowers a limit; a lower one stays."""
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or value < hard:
        resource.setrlimit(kind, (value, value))
    else:
        resource.setrlimit(kind, (hard, hard))
