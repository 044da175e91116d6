"""The time of a build, for images that ask for ``"now"``."""

from __future__ import annotations

from dataclasses import dataclass

from pants.engine.fs import CreateDigest
from pants.engine.process import ProcessCacheScope
from pants.util.logging import LogLevel

from layered_image.engine import collect_rules, create_digest, implicitly, rule
from layered_image.strata_process import StrataRequest, run_strata


@dataclass(frozen=True)
class ClockRequest:
    """Asked only for ``"now"``."""


@dataclass(frozen=True)
class Clock:
    seconds: int


@rule(desc="Read the clock", level=LogLevel.DEBUG)
async def read_clock(request: ClockRequest) -> Clock:
    empty = await create_digest(CreateDigest([]))
    result = await run_strata(
        StrataRequest(
            command="clock",
            spec="{}",
            description="Read the clock",
            input_digest=empty,
            cache_scope=ProcessCacheScope.PER_SESSION,
        ),
        **implicitly(),
    )
    return Clock(int(result.stdout))


def rules():
    return collect_rules()
