"""Signals and the terminal, passed on to a child as if it were started directly."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType
from typing import Optional

_FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


def forward_to(child: int) -> None:
    """Passes on what this process gets, until it ends."""

    def forward(number: int, frame: Optional[FrameType]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _FORWARDED:
        signal.signal(number, forward)


def as_usual() -> None:
    """What a program expects when it starts: Python ignores some signals, and we forward others."""
    for number in (*_FORWARDED, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def take_terminal() -> None:
    """Makes this process a group of its own, in the foreground of the terminal if there is one:
    keys that send signals then reach it once, and nobody else."""
    os.setpgid(0, 0)
    _set_foreground()


def take_terminal_back() -> None:
    _set_foreground()


def _set_foreground() -> None:
    if not os.isatty(0):
        return
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    # It may not be this session's terminal: then it knows nothing of our groups.
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, before)
