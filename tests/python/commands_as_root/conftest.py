"""A machine to run commands on."""

from __future__ import annotations

import shutil
from typing import Iterator

import pytest

from commands_as_root.machine import Machine, missing, new_machine, skip_or_fail


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    reason = missing()
    if reason is not None:
        skip_or_fail(reason)
    made = new_machine()
    yield made
    shutil.rmtree(made.folder)
