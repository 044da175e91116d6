"""How long commands over an image of about 430 MB take, against buildah and ``docker build``.

Run it as root, with nothing else on the machine:

    python3 benchmarks/commands.py --rounds 5 --work /var/tmp

``--small`` takes the demo's image instead, to see that everything works. ``--owners`` compares
ways to let an ordinary user's commands own files, and needs fakeroot and proot. Strata and its
rivals take turns, so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Tuple, Union

import measure
import owners
from repository import Repository
from rivals import Docker

_PYTHON = "/usr/bin/python3.11"
#: What the commands are, for the image's own Python; ``{}`` makes each run another one.
SCENARIOS = {"no-op": "pass # {}", "one file": "open('/opt/touched', 'w').write('{}')"}
_BUILD = """
layered_image(name="base", image_name="base", tags=["bench"], contents=[{contents}])
layered_image(name="image", contents=[{contents}], formats=["oci"], fakeroot_chroot=True,
              fakeroot_commands='''{commands}''')
"""
_Results = Dict[Tuple[str, str], List[measure.Sample]]


class Strata:
    """The commands are another text each time, so they run; all else comes from the cache."""

    name = "Strata"

    def __init__(self, repository: Repository, small: bool) -> None:
        self._repository = repository
        self._aside: List[Path] = []
        self._contents = '"app:server", "app:os"' if small else '"app/bench:service", "app:os"'
        self.run("pass")
        self.package("base")

    def run(self, code: str) -> measure.Sample:
        folder = self._repository.root / "app/commands"
        folder.mkdir(exist_ok=True)
        commands = f'{_PYTHON} -c "{code}"'
        (folder / "BUILD").write_text(_BUILD.format(contents=self._contents, commands=commands))
        return self.package("image")

    def package(self, name: str) -> measure.Sample:
        return self._pants("package", f"app/commands:{name}")

    def forget_unpacked(self) -> None:
        """Unpacked layers are out of the way until the end: a file system that has just removed
        20,000 files takes its time to make others."""
        caches = Path(os.environ.get("PANTS_NAMED_CACHES_DIR", "~/.cache/pants/named_caches"))
        folder = caches.expanduser() / "strata_layers"
        aside = folder.with_name(f"{folder.name}.{len(self._aside)}")
        aside.mkdir()
        for item in list(folder.iterdir()):
            item.rename(aside / item.name)
        self._aside.append(aside)

    def stop(self) -> None:
        for folder in self._aside:
            shutil.rmtree(folder)

    def _pants(self, *arguments: str) -> measure.Sample:
        environment = {**os.environ, "PANTS_DYNAMIC_UI": "False"}
        root = self._repository.root
        command = [str(root / "pants"), *arguments]
        return measure.run(command, root, environment, self._repository.daemons())

    @property
    def archive(self) -> Path:
        return self._repository.root / "dist/app.commands/base.tar"


class Buildah:
    name = "buildah run, commit"

    def __init__(self, archive: Path, work: Path) -> None:
        work.mkdir()
        self._work = work
        self._numbers = itertools.count()
        self._buildah = ["buildah", "--root", str(work / "root"), "--runroot", str(work / "run")]
        self.loading = measure.run(
            [*self._buildah, "pull", "-q", f"docker-archive:{archive}"], work
        )

    def run(self, code: str) -> measure.Sample:
        number = next(self._numbers)
        script = (
            f"{self._line('from', '--name', f'c{number}', 'localhost/base:bench')} && "
            f"{self._line('run', '--isolation=chroot', f'c{number}', '--', _PYTHON, '-c')} "
            f'"$1" && {self._line("commit", "-q", f"c{number}", f"bench:{number}")}'
        )
        return measure.run(["sh", "-c", script, "sh", code], self._work)

    def _line(self, *arguments: str) -> str:
        return " ".join([*self._buildah, *arguments])

    def stop(self) -> None:
        measure.run([*self._buildah, "rm", "--all"], self._work)


class DockerBuild(Docker):
    name = "docker build, RUN"

    def __init__(self, archive: Path, work: Path) -> None:
        context = work.with_name(f"{work.name}-context")
        context.mkdir()
        super().__init__(context, work)
        load = [*self.client, "load", "-q", "-i", str(archive)]
        self.loading = measure.run(load, context, daemons=[self.daemon])

    def run(self, code: str) -> measure.Sample:
        run = f'FROM base:bench\nRUN ["{_PYTHON}", "-c", "{code}"]\n'
        (self.context / "Dockerfile").write_text(run)
        command = [*self.client, "build", "-q", "--network=none", "."]
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        return measure.run(command, self.context, environment, [self.daemon])


RIVALS = {"buildah": Buildah, "docker": DockerBuild}


def measure_all(arguments: argparse.Namespace, work: Path) -> _Results:
    results: _Results = defaultdict(list)
    repository = Repository(work / "checkout", "oci", bytecode=True)
    runners: List[Union[Strata, Buildah, DockerBuild]] = []
    try:
        strata = Strata(repository, arguments.small)
        runners.append(strata)
        for key in arguments.rivals:
            rival = RIVALS[key](strata.archive, work / key)
            runners.append(rival)
            results[rival.name, "load the image"].append(rival.loading)
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for scenario, code in SCENARIOS.items():
                # Pants' own overhead: as much is asked of it, and no process runs.
                strata.run(code.format(number))
                results["Pants, nothing to do", scenario].append(strata.package("image"))
                for runner in runners:
                    text = code.format(time.time_ns())
                    results[runner.name, scenario].append(runner.run(text))
            strata.forget_unpacked()
            text = SCENARIOS["no-op"].format(time.time_ns())
            results[strata.name, "no-op, layers not unpacked"].append(strata.run(text))
    finally:
        for runner in runners:
            runner.stop()
        repository.stop()
    return results


def _compared(scenario: str) -> str:
    """What loading an image compares with is unpacking its layers, and a command."""
    return "no-op, layers not unpacked" if scenario == "load the image" else scenario


def table(results: _Results) -> str:
    lines = ["| tool | scenario | seconds | × Strata | CPU seconds |", "|---|---|---|---|---|"]
    for (tool, scenario), samples in results.items():
        wall = measure.median(samples, lambda s: s.wall)
        ours = measure.median(results[Strata.name, _compared(scenario)], lambda s: s.wall)
        cpu = measure.median(samples, lambda s: s.cpu)
        lines.append(f"| {tool} | {scenario} | {wall:.2f} | {wall / ours:.2f} | {cpu:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--owners", action="store_true")
    parser.add_argument("--work", type=Path, help="a folder on a disk with 10 GB to spare")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="strata-bench-", dir=arguments.work))
    try:
        if arguments.owners:
            print(owners.compare(work, arguments.rounds))
        else:
            print(table(measure_all(arguments, work)))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
