"""Wall time, CPU time and peak memory of commands, with what their daemons use."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, List, Optional, Sequence

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """``wall`` and ``cpu`` in seconds, ``memory`` (the largest process' peak) in bytes."""

    wall: float
    cpu: float
    memory: int

    def __add__(self, later: "Sample") -> "Sample":
        """One after the other."""
        return Sample(self.wall + later.wall, self.cpu + later.cpu, max(self.memory, later.memory))


def run(
    command: Sequence[str],
    cwd: Path,
    environment: Optional[dict] = None,
    daemons: Iterable[int] = (),
) -> Sample:
    """Runs a command to its end. ``daemons`` are process ids whose CPU time counts too.

    Raises CalledProcessError, with the command's output, if it fails.
    """
    daemons = tuple(daemons)
    before = sum(_cpu_of(pid) for pid in daemons)
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    cpu = usage.ru_utime + usage.ru_stime + sum(_cpu_of(pid) for pid in daemons) - before
    return Sample(wall, cpu, usage.ru_maxrss * 1024)


def _cpu_of(pid: int) -> float:
    """User and system time of a process and of its children that have ended, in seconds."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def median(samples: List[Sample], value: Callable[[Sample], float]) -> float:
    return statistics.median(value(sample) for sample in samples)
