"""Credential helpers: programs named ``docker-credential-NAME`` that speak Docker's protocol
("credential helper protocol": ``get`` with a server's address on standard input)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from typing import Tuple

from strata.registry.errors import RegistryError

_NAME = re.compile(r"[\w.-]+", re.ASCII)
_NOT_FOUND = "credentials not found"


class HelperNotFound(RegistryError):
    """A helper works and has nothing for this server."""


def ask_helper(name: str, server: str, timeout: float) -> Tuple[str, str]:
    """User and secret that the helper ``name`` has for ``server``; the user ``<token>`` means that
    the secret is an identity token. ``timeout`` is in seconds.

    Raises HelperNotFound if it has none, and RegistryError if it is missing, fails, hangs, or
    answers with what is no credential. No message repeats anything that it printed.
    """
    program = f"docker-credential-{name}"
    if not _NAME.fullmatch(name):
        raise RegistryError(f"{name!r} is not the name of a credential helper")
    try:
        process = subprocess.Popen(
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # It may have started others, which must not outlive it.
            start_new_session=True,
        )
    except OSError as error:
        raise RegistryError(f"{program} cannot be started: {error.strerror}") from None
    try:
        output, complaint = process.communicate(server.encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise RegistryError(f"{program} gave no answer within {timeout:g} s") from None
    finally:
        if process.returncode is None:
            _end(process)
    if process.returncode:
        if _NOT_FOUND in (output + complaint).decode(errors="replace").lower():
            raise HelperNotFound(f"{program} has no credentials for {server}")
        raise RegistryError(f"{program} failed with exit code {process.returncode}")
    try:
        answer = json.loads(output)
        user, secret = answer["Username"], answer["Secret"]
        if not isinstance(user, str) or not isinstance(secret, str):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise RegistryError(f"{program} answered with what is no credential") from None
    if not user and not secret:
        raise HelperNotFound(f"{program} has no credentials for {server}")
    return user, secret


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Not drained: whoever left the session may hold the other ends open.
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
