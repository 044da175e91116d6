"""``layers``: what is in the layers of images, who shares them, and what changed."""

from __future__ import annotations

import json
import logging
from enum import Enum
from pathlib import Path
from typing import Any, Dict, Iterable

from pants.core.goals.package import OutputPathField
from pants.core.util_rules.distdir import DistDir
from pants.engine.console import Console
from pants.engine.fs import CreateDigest, FileContent, Workspace
from pants.engine.goal import Goal, GoalSubsystem, LineOriented
from pants.engine.target import AllTargets, Target, Targets
from pants.option.option_types import BoolOption, EnumOption, IntOption
from pants.util.strutil import softwrap

from layered_image.engine import collect_rules, concurrently, create_digest, goal_rule, implicitly
from layered_image.field_sets import is_image
from layered_image.images.image_index import BuildImageRequest, build_layered_image
from strata.oci.index import images_of
from strata.report.layers import describe_images, render_table
from strata.report.page import render_page

logger = logging.getLogger(__name__)


class LayersFormat(Enum):
    TABLE = "table"
    JSON = "json"


class LayersSubsystem(LineOriented, GoalSubsystem):
    name = "layers"
    help = softwrap(
        """
        Show the layers of `layered_image` targets: sizes, members, why they are together, which
        other images share them, and what changed since the reports that `package` wrote last.

        Other images are those that are given, as they are now, and the rest of the repository, as
        `package` wrote them last: `layers app:image`, or `layers ::` for all as they are now.
        """
    )

    format = EnumOption(default=LayersFormat.TABLE, help="A table for people, or JSON.")
    width = IntOption(default=120, help="How many columns the table may have.")
    html = BoolOption(
        default=False,
        help=softwrap(
            """
            Also write a page for browsers: `dist/<path>.layers.html`, beside what `package` writes
            for the image, or `dist/layers.html` for several images. It shows sizes, why each object
            is there, and what a push would send in comparison with the last build or with another
            of the given images. It is one file that needs no network.
            """
        ),
    )


class Layers(Goal):
    subsystem_cls = LayersSubsystem
    environment_behavior = Goal.EnvironmentBehavior.LOCAL_ONLY


@goal_rule
async def show_layers(
    targets: Targets,
    all_targets: AllTargets,
    console: Console,
    subsystem: LayersSubsystem,
    dist: DistDir,
    workspace: Workspace,
) -> Layers:
    images = [target for target in targets if is_image(target)]
    if not images:
        console.print_stderr("No layered_image or image_index targets were given: nothing to show.")
        return Layers(exit_code=0)
    built = await concurrently(
        build_layered_image(BuildImageRequest(image), **implicitly()) for image in images
    )
    before = _last_reports(images, dist)
    given = {image.address for image in images}
    others = [target for target in all_targets if is_image(target) and target.address not in given]
    reports: Dict[str, Any] = {}
    for item in built:
        reports.update(images_of(item.address.spec, json.loads(item.report)))
    described = describe_images(reports, before, _last_reports(others, dist))
    with subsystem.line_oriented(console) as print_line:
        if subsystem.format is LayersFormat.JSON:
            print_line(json.dumps(described, indent=2, ensure_ascii=False))
        else:
            print_line(render_table(described, subsystem.width))
    if subsystem.html:
        only = _report_path(images[0])[: -len("json")] if len(images) == 1 else ""
        page = FileContent(f"{only}layers.html", render_page(described, before).encode())
        digest = await create_digest(CreateDigest([page]))
        workspace.write_digest(digest, path_prefix=str(dist.relpath))
        logger.info(f"Wrote {dist.relpath / page.path}")
    return Layers(exit_code=0)


def _report_path(image: Target) -> str:
    return image[OutputPathField].value_or_default(file_ending="json")


def _last_reports(images: Iterable[Target], dist: DistDir) -> Dict[str, Any]:
    """What `package` wrote last, by address, for those of ``images`` that it wrote."""
    found: Dict[str, Any] = {}
    for image in images:
        # `dist` is no input of any build: a goal may look at what the last one left there.
        path = Path(dist.relpath) / _report_path(image)
        if path.is_file():
            report = json.loads(path.read_text(encoding="utf-8"))
            found.update(images_of(image.address.spec, report))
    return found


def rules():
    return collect_rules()
