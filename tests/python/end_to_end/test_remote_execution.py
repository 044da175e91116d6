"""Every process runs on other machines too, and makes the same bytes there."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from end_to_end.pants_checkout import PantsCheckout, sha256
from end_to_end.remote_servers import Front, Storage, Worker, execution_options
from end_to_end.tools import require

_COMMANDS = """
image_directory(name="tmp", path="/tmp", mode="1777")

layered_image(
    name="image",
    contents=[":tmp"],
    compression="none",
    extra_commands="mkdir -p var/lib/demo && echo 1 > var/lib/demo/version",
    fakeroot_commands="chown -R 1000:1001 var/lib/demo\\nchmod 4755 var/lib/demo/version\\n"
    "mknod var/lib/demo/null c 1 3\\n",
)

layered_image(
    name="chrooted",
    contents=["app:os"],
    compression="none",
    fakeroot_chroot=True,
    fakeroot_commands="touch /etc/changed",
)
"""


class Farm:
    """Two workers with one storage behind one front, and a machine that builds there."""

    def __init__(self, folder: Path) -> None:
        self.storage = Storage(folder / "storage")
        self.workers = [Worker(folder / f"worker{i}", self.storage) for i in range(2)]
        self.front = Front(folder / "front", self.workers)
        self.client = PantsCheckout(folder / "checkout", folder / "caches")

    @property
    def options(self) -> List[str]:
        return execution_options(self.storage.port, self.front.port)

    def stop(self) -> None:
        self.front.stop()
        for server in (*self.workers, self.storage):
            server.kill()


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    require("bwrap", "haproxy")
    started = Farm(tmp_path_factory.mktemp("farm"))
    yield started
    started.stop()


def test_all_processes_of_an_image_run_remotely(farm: Farm, built: PantsCheckout) -> None:
    done = farm.client.run("package", "app:image", *farm.options, "--stats-log")
    layers = farm.client.report("app/image")["layers"]
    assert len(done.layer_processes) == len(layers)
    assert counter(done.output, "local_execution_requests") == 0
    assert counter(done.output, "remote_execution_requests") > len(layers)
    assert all(worker.executed for worker in farm.workers)
    assert sha256(farm.client.archive("app/image")) == sha256(built.archive("app/image"))


def test_commands_run_where_new_namespaces_are_refused(farm: Farm, checkout: PantsCheckout) -> None:
    for machine in (farm.client, checkout):
        machine.write("commands/BUILD", _COMMANDS)
    checkout.run("package", "commands:image")
    done = farm.client.run("package", "commands:image", *farm.options)
    assert "Commands of commands:image" in done.processes
    assert sha256(farm.client.archive("commands/image")) == sha256(
        checkout.archive("commands/image")
    )

    # With the image as their root they need one, and say what the worker refused.
    failed = farm.client.run("package", "commands:chrooted", *farm.options, check=False)
    assert failed.exit_code != 0
    assert "`fakeroot_commands` of commands:chrooted: this machine cannot run" in failed.output
    assert "Operation not permitted" in failed.output


def test_a_worker_dies_in_the_middle_of_a_build(farm: Farm, checkout: PantsCheckout) -> None:
    # Every layer is another one, so nothing comes from a cache.
    edit = ("app/BUILD", 'tags=["latest"],', 'tags=["latest"],\n    mtime="2001-02-03T04:05:06Z",')
    for machine in (farm.client, checkout):
        machine.replace(*edit)
    checkout.run("package", "app:image")
    before = [worker.executed for worker in farm.workers]
    build = subprocess.Popen(
        [str(farm.client.root / "pants"), "package", "app:image", *farm.options],
        cwd=farm.client.root,
        env=farm.client.environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        # Both are at work: layers start together, and there are more of them than jobs.
        while min(w.executed - had for w, had in zip(farm.workers, before)) < 4:
            assert build.poll() is None, (build.stdout and build.stdout.read()) or b""
            time.sleep(0.1)
        farm.workers[0].kill()
        output, _ = build.communicate()
    finally:
        build.kill()
    assert build.returncode == 0, output.decode(errors="replace")
    assert farm.front.lost > 0, "the worker was idle when it died"
    assert sha256(farm.client.archive("app/image")) == sha256(checkout.archive("app/image"))


def counter(output: str, name: str) -> int:
    """A counter of ``--stats-log``; those that are zero are not always there."""
    values = [line.rpartition(":")[2] for line in output.splitlines() if f"  {name}:" in line]
    return int(values[0]) if values else 0
