"""The command that signs: what it gets, and how it is kept from hanging."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, Any, List, Mapping, Tuple

from strata.errors import StrataError
from strata.registry.descriptor import Descriptor

#: Its environment variable that has the repository, with the registry's host in front.
REPOSITORY = "STRATA_REPOSITORY"
#: Bytes. Signatures have kilobytes; whoever writes without end is stopped.
LONGEST_ANSWER = 64 << 20


@dataclass(frozen=True)
class SigningCommand:
    """``argv`` runs in the folder ``directory``, which a relative path of a program is relative to,
    and sees ``environment`` and nothing else. It has ``timeout`` seconds for each signature.
    ``option`` is what errors call it."""

    argv: Tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    timeout: float
    option: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SigningCommand":
        """``environment`` of ``data`` has the names of this process' variables that it sees."""
        names = [name for name in data["environment"] if name in os.environ]
        environment = {name: os.environ[name] for name in names}
        timeout = float(data["timeout"])
        return cls(tuple(data["argv"]), environment, data["directory"], timeout, data["option"])

    def ask(self, subject: Descriptor, repository: str) -> bytes:
        """What it writes when it is given ``subject``'s descriptor (OCI image specification v1.1,
        "Content Descriptors") as JSON on standard input; its complaints go to ours.

        Raises StrataError if it cannot be started, fails, hangs or does not stop writing.
        """
        described = Descriptor(subject.media_type, subject.digest, subject.size).to_json()
        try:
            process = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=self.directory,
                env={**self.environment, REPOSITORY: repository},
                # It may start others, which must not outlive it.
                start_new_session=True,
            )
        except OSError as error:
            raise self.error(f"it cannot be started: {error.strerror}") from None
        assert process.stdin is not None and process.stdout is not None
        deadline = time.monotonic() + self.timeout
        try:
            # Whoever does not read it may still answer.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(described).encode() + b"\n")
                process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            answer = self._read(process.stdout, deadline)
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._too_slow() from None
        finally:
            _end(process)
        if code:
            raise self.error(f"it failed with exit code {code}; what it said is above")
        return answer

    def error(self, message: str) -> StrataError:
        return StrataError(f"{self.option} ({self.argv[0]}): {message}")

    def _read(self, stream: IO[bytes], deadline: float) -> bytes:
        pieces: List[bytes] = []
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise self._too_slow()
                piece = os.read(stream.fileno(), 1 << 16)
                if not piece:
                    return b"".join(pieces)
                pieces.append(piece)
                size += len(piece)
                if size > LONGEST_ANSWER:
                    raise self.error(
                        f"it wrote more than {LONGEST_ANSWER >> 20} MiB, which is no signature"
                    )

    def _too_slow(self) -> StrataError:
        return self.error(
            f"it did not finish within {self.timeout:g} s; if it needs more, raise the timeout"
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends whatever it started, too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
