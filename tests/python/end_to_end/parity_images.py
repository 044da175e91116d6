"""Small images for tests that compare with dockerTools, and the engine that runs them."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import Docker, Podman, run

#: The folder of the test's BUILD file, and what ``package`` makes of it.
FOLDER = "app/parity"
DIST = "dist/app.parity"
#: A shell to run things with.
SHELL = '"examples/minimal:os", "examples/minimal:sh"'


class Engine:
    """A Docker engine with short ways to load and run images."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._docker = Docker(folder, *options)

    def docker(self, *arguments: str) -> str:
        return run(*self._docker.client, *arguments)

    def load(self, archive: Path) -> str:
        """The name under which the image was loaded."""
        return _loaded(self.docker("load", "-i", str(archive)))

    def load_stream(self, checkout: PantsCheckout, *arguments: str) -> str:
        """Loads what ``pants run`` writes, without a file between them."""
        writer = subprocess.Popen(
            [str(checkout.root / "pants"), "run", *arguments],
            cwd=checkout.root,
            env=checkout.environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        reader = subprocess.run(
            [*self._docker.client, "load"], stdin=writer.stdout, capture_output=True, check=False
        )
        assert writer.stdout is not None
        writer.stdout.close()
        assert writer.wait() == 0
        assert reader.returncode == 0, reader.stderr.decode()
        return _loaded(reader.stdout.decode())

    def run(self, image: str, *command: str, options: Sequence[str] = ()) -> str:
        return self.docker("run", "--rm", "--network=none", *options, image, *command)

    def fails(self, image: str, *command: str) -> str:
        process = subprocess.run(
            [*self._docker.client, "run", "--rm", "--network=none", image, *command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode != 0, process.stdout
        return process.stderr

    def inspect(self, image: str) -> Dict[str, Any]:
        (found,) = json.loads(self.docker("image", "inspect", image))
        result: Dict[str, Any] = found
        return result

    def history(self, image: str) -> List[Dict[str, Any]]:
        text = self.docker("history", "--no-trunc", "--format", "{{json .}}", image)
        return [json.loads(line) for line in text.splitlines()]

    def stop(self) -> None:
        self._docker.stop()


def load_and_run_with_podman(archive: Path, image: str, *command: str) -> str:
    """What the command writes, in ``image`` of ``archive``."""
    podman = Podman()
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
    try:
        run(*podman.command, "load", "-i", str(archive))
        return run(*podman.command, "run", "--rm", "--network=host", *limits, image, *command)
    finally:
        podman.remove()


def archive(repository: PantsCheckout, name: str) -> Path:
    return repository.root / DIST / f"{name}.tar"


def _loaded(output: str) -> str:
    names = [
        line.partition(": ")[2] for line in output.splitlines() if line.startswith("Loaded image: ")
    ]
    assert len(names) == 1, output
    return names[0]


def layer_members(archive: Path) -> "List[List[tarfile.TarInfo]]":
    """The members of each layer of a docker archive whose layers are not compressed by zstd."""
    result = []
    with tarfile.open(archive) as image:
        text = image.extractfile("manifest.json")
        assert text is not None
        (manifest,) = json.load(text)
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                result.append(layer.getmembers())
    return result


def files_below(archive: Path, folder: str) -> List[str]:
    """Paths of what is no directory, in any layer, below ``folder``."""
    return sorted(
        member.name
        for members in layer_members(archive)
        for member in members
        if not member.isdir() and member.name.startswith(folder)
    )
