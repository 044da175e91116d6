"""``check-namespaces``: how this machine can run images' commands."""

from __future__ import annotations

import json

from pants.engine.console import Console
from pants.engine.fs import CreateDigest
from pants.engine.goal import Goal, GoalSubsystem
from pants.engine.process import ProcessCacheScope
from pants.option.option_types import BoolOption
from pants.util.strutil import softwrap

from layered_image.commands.process import LAYERS_CACHE, LAYERS_FOLDER
from layered_image.engine import collect_rules, create_digest, goal_rule, implicitly
from layered_image.strata_process import StrataRequest, run_strata


class CheckNamespacesSubsystem(GoalSubsystem):
    name = "check-namespaces"
    help = softwrap(
        """
        Show which namespaces this machine allows for `extra_commands` and `fakeroot_commands` of
        `layered_image` targets, and what to change where it allows none.
        """
    )

    clear_layers = BoolOption(
        default=False,
        help=softwrap(
            """
            Remove the layers that were unpacked for commands and for `run-image`, also those whose
            files belong to subordinate ids, which only a namespace may remove. They are unpacked
            again when they are needed. Not while something is being built.
            """
        ),
    )


class CheckNamespaces(Goal):
    subsystem_cls = CheckNamespacesSubsystem
    environment_behavior = Goal.EnvironmentBehavior.LOCAL_ONLY


@goal_rule
async def check_namespaces(
    console: Console, subsystem: CheckNamespacesSubsystem
) -> CheckNamespaces:
    empty = await create_digest(CreateDigest([]))
    clears = subsystem.clear_layers
    result = await run_strata(
        StrataRequest(
            command="clear-layers" if clears else "check-namespaces",
            spec=json.dumps({"cache": LAYERS_FOLDER}),
            description="Remove unpacked layers" if clears else "Try namespaces",
            input_digest=empty,
            caches=LAYERS_CACHE,
            # The machine's settings are no input: they are looked at each time.
            cache_scope=ProcessCacheScope.PER_SESSION,
        ),
        **implicitly(),
    )
    if result.error:
        console.print_stderr(result.error)
        return CheckNamespaces(exit_code=1)
    console.print_stdout(result.stdout.decode().rstrip())
    return CheckNamespaces(exit_code=0)


def rules():
    return collect_rules()
