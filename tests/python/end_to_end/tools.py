"""Programs that tests need: found, or the test is skipped and says what is missing."""

from __future__ import annotations

import os
import shutil
from typing import Optional

import pytest


def require(*programs: str) -> None:
    """Skips the test if one of ``programs`` is missing.

    Continuous integration sets STRATA_REQUIRE_TOOLS: there a missing program is a failure.
    """
    missing = [program for program in programs if find(program) is None]
    if missing:
        unavailable(f"needs {', '.join(missing)}")


def find(program: str) -> Optional[str]:
    """Its path; ordinary users have no system programs on theirs."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def require_root() -> None:
    if os.geteuid() != 0:
        unavailable("needs root")


def unavailable(reason: str) -> None:
    if os.environ.get("STRATA_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)
