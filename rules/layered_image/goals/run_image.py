"""``run-image``: runs an image, in namespaces or with a container engine.

``run`` writes the image's archive to standard output. To run it instead has a goal of its own:
what a command does must not depend on where its output goes.
"""

from __future__ import annotations

import json
from enum import Enum

from pants.engine.console import Console
from pants.engine.env_vars import CompleteEnvironmentVars
from pants.engine.goal import Goal, GoalSubsystem
from pants.engine.target import Targets
from pants.option.option_types import ArgsListOption, BoolOption, EnumOption, StrListOption
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.commands.process import LAYERS_CACHE, LAYERS_FOLDER
from layered_image.engine import (
    collect_rules,
    goal_rule,
    implicitly,
    run_interactive_process,
)
from layered_image.field_sets import is_image
from layered_image.images.image_index import BuildImageRequest, build_layered_image
from layered_image.program import ProgramRequest, prepare_program
from layered_image.subsystem import LayeredImageSubsystem
from strata.errors import StrataError


class ImageRuntime(Enum):
    AUTO = "auto"
    NAMESPACE = "namespace"
    RUNC = "runc"
    PODMAN = "podman"
    DOCKER = "docker"


class RunImageSubsystem(GoalSubsystem):
    name = "run-image"
    help = softwrap(
        """
        Run the program of a `layered_image`: `pants run-image app:image -- ARGS`. Arguments replace
        its `Cmd`. Of an image for several architectures it is the one of this machine. It has this
        machine's network, and gets the signals that Pants gets; its exit code becomes that of
        Pants.
        """
    )

    runtime = EnumOption(
        default=ImageRuntime.AUTO,
        help=softwrap(
            """
            What runs it: `namespace` needs nothing but the kernel, `runc`, `podman` and `docker`
            have to be installed. `auto` is `namespace` where the machine allows it, and an engine
            otherwise.
            """
        ),
    )
    read_only = BoolOption(default=False, help="Whether the program may change no file.")
    engine_options = StrListOption(
        help="More options for `podman run` and `docker run`, such as `--volume=/data:/data`."
    )
    args = ArgsListOption(example="serve --verbose", tool_name="the image", passthrough=True)


class RunImage(Goal):
    subsystem_cls = RunImageSubsystem
    environment_behavior = Goal.EnvironmentBehavior.LOCAL_ONLY


@goal_rule
async def run_image(
    targets: Targets,
    subsystem: RunImageSubsystem,
    options: LayeredImageSubsystem,
    environment: CompleteEnvironmentVars,
    # A rule that takes something with side effects may run an interactive process.
    console: Console,
) -> RunImage:
    images = [target for target in targets if is_image(target)]
    if len(images) != 1:
        raise StrataError(
            f"run-image takes one layered_image or image_index target, and {len(images)} were "
            "given: name one, as in `pants run-image app:image`"
        )
    image = await build_layered_image(BuildImageRequest(images[0]), **implicitly())
    spec = {
        "runtime": subsystem.runtime.value,
        "read_only": subsystem.read_only,
        "engine_options": subsystem.engine_options,
        "layout": "layout",
        "cache": LAYERS_FOLDER,
        "memory": options.command_memory,
    }
    program = await prepare_program(
        ProgramRequest(
            "run-image",
            json.dumps(spec),
            FrozenDict({"layout": image.layout}),
            environment,
            arguments=tuple(subsystem.args),
            libraries=("filelock", "gzip"),
            caches=LAYERS_CACHE,
        ),
        **implicitly(),
    )
    result = await run_interactive_process(program.process)
    return RunImage(exit_code=result.exit_code)


def rules():
    return collect_rules()
