"""Answers the system calls that a filter hands over, seccomp_unotify(2).

What the kernel would refuse is recorded instead, and what was recorded is shown to whoever asks for
a file's status. Every other call goes on as it is. The supervisor has the commands' root folder and
their privileges, and no more: a program that changes a path while it is looked at gains nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
from typing import Dict, List

from strata.namespace.caller import Caller, GoOn
from strata.namespace.emulation import Emulation, Handler
from strata.namespace.inheritance import Inheritance, MadeFile
from strata.namespace.records import Recording, Records
from strata.namespace.seccomp import STATUS_CALLS, names_by_number

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_ADD_DESCRIPTOR = 0x40182103
_CONTINUE = 1
_AND_ANSWER = 2
_REQUEST = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_ADDED = struct.Struct("=QIIII")


class Supervisor:
    """``listener`` is the filter's descriptor; ``records`` grows with what the calls ask for."""

    def __init__(self, listener: int, recording: Recording, records: Records) -> None:
        self._listener = listener
        self._records = records
        root = os.stat("/")
        self._root = (root.st_dev, root.st_ino)
        names = names_by_number()
        sources = [Emulation(records).handlers()]
        if recording.owners:
            sources.append(Inheritance(records).handlers())
        self._handlers: Dict[int, List[Handler]] = {
            number: [source[name] for source in sources if name in source]
            for number, name in names.items()
        }
        self._status_calls = {number for number, name in names.items() if name in STATUS_CALLS}
        # Modes are what the caller's own mask leaves.
        os.umask(0)

    def serve(self, ended: int) -> None:
        """Answers until the process with the descriptor ``ended`` (pidfd_open(2)) has ended."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if ready.get(self._listener, 0) & select.POLLIN:
                self._answer()
            elif ready:
                return

    def _answer(self) -> None:
        try:
            request = fcntl.ioctl(self._listener, _RECEIVE, bytes(_REQUEST.size))
        except OSError as error:
            # The caller was killed while it waited.
            if error.errno in (errno.ENOENT, errno.EINTR):
                return
            raise
        identity, process, _, number, _, _, *arguments = _REQUEST.unpack(request)
        response = _RESPONSE.pack(identity, 0, 0, _CONTINUE)
        if self._records.used or number not in self._status_calls:
            caller = Caller(process, self._root)
            a, b, c, d, e, f = arguments
            for handler in self._handlers.get(number, ()):
                try:
                    value = handler(caller, (a, b, c, d, e, f))
                except GoOn:
                    continue
                except MadeFile as made:
                    self._hand_over(identity, made)
                    return
                except OSError as error:
                    failure = -(error.errno or errno.EPERM)
                    response = _RESPONSE.pack(identity, 0, failure, 0)
                    break
                response = _RESPONSE.pack(identity, value, 0, 0)
                break
        self._send(_SEND, response)

    def _hand_over(self, identity: int, made: MadeFile) -> None:
        close_on_exec = made.flags & os.O_CLOEXEC
        self._send(
            _ADD_DESCRIPTOR, _ADDED.pack(identity, _AND_ANSWER, made.handle, 0, close_on_exec)
        )
        os.close(made.handle)

    def _send(self, request: int, message: bytes) -> None:
        try:
            fcntl.ioctl(self._listener, request, message)
        except OSError as error:
            # The caller was killed in the meantime.
            if error.errno != errno.ENOENT:
                raise
