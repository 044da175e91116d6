"""``load-image``: puts images into a Docker engine or podman, without the layers that it has."""

from __future__ import annotations

import json
from enum import Enum

from pants.engine.console import Console
from pants.engine.env_vars import CompleteEnvironmentVars
from pants.engine.goal import Goal, GoalSubsystem
from pants.engine.target import Targets
from pants.option.option_types import EnumOption
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.engine import (
    collect_rules,
    concurrently,
    goal_rule,
    implicitly,
    run_interactive_process,
)
from layered_image.field_sets import is_image
from layered_image.images.image_index import BuildImageRequest, build_layered_image
from layered_image.program import ProgramRequest, prepare_program
from strata.errors import StrataError


class LoadImageEngine(Enum):
    AUTO = "auto"
    DOCKER = "docker"
    PODMAN = "podman"


class LoadImageSubsystem(GoalSubsystem):
    name = "load-image"
    help = softwrap(
        """
        Put images into a container engine of this machine: `pants load-image app:image`. Only the
        layers that the engine lacks are moved, but for a Docker engine that keeps its images in
        containerd's store, which wants all of them. Of an image for several architectures the
        engine gets the one of this machine.
        """
    )

    engine = EnumOption(
        default=LoadImageEngine.AUTO,
        help="Which engine gets them: `auto` is docker where that is installed, else podman.",
    )


class LoadImage(Goal):
    subsystem_cls = LoadImageSubsystem
    environment_behavior = Goal.EnvironmentBehavior.LOCAL_ONLY


@goal_rule
async def load_image(
    targets: Targets,
    subsystem: LoadImageSubsystem,
    environment: CompleteEnvironmentVars,
    # A rule that takes something with side effects may run an interactive process.
    console: Console,
) -> LoadImage:
    wanted = [target for target in targets if is_image(target)]
    if not wanted:
        raise StrataError(
            "load-image takes layered_image targets, and none was given: name one, as in "
            "`pants load-image app:image`"
        )
    images = await concurrently(
        build_layered_image(BuildImageRequest(target), **implicitly()) for target in wanted
    )
    for image in images:
        program = await prepare_program(
            ProgramRequest(
                "load-image",
                json.dumps({"layout": "layout", "engine": subsystem.engine.value}),
                FrozenDict({"layout": image.layout}),
                environment,
            ),
            **implicitly(),
        )
        result = await run_interactive_process(program.process)
        if result.exit_code:
            return LoadImage(exit_code=result.exit_code)
    return LoadImage(exit_code=0)


def rules():
    return collect_rules()
