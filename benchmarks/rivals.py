"""Other ways to make an image of the same tree: the wheels and packages, and the code on top."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Dict, List, Type

import measure

_DOCKERFILE = "FROM scratch\nCOPY deps /\nCOPY code /\n"


class Rival:
    """``context`` holds ``deps`` and ``code``. ``build`` makes an image, from scratch if ``cold``;
    otherwise only ``code`` has changed."""

    name = ""
    programs: "tuple[str, ...]" = ()

    def __init__(self, context: Path, work: Path) -> None:
        self.context = context
        self.work = work
        work.mkdir(parents=True)

    @classmethod
    def missing(cls) -> List[str]:
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        return [p for p in cls.programs if shutil.which(p, path=path) is None]

    def build(self, cold: bool) -> measure.Sample:
        raise NotImplementedError

    def stop(self) -> None:
        """Ends what the rival started."""


class Docker(Rival):
    name = "docker build"
    programs = ("docker", "dockerd")

    def __init__(self, context: Path, work: Path) -> None:
        super().__init__(context, work)
        (context / "Dockerfile").write_text(_DOCKERFILE)
        self._socket = f"unix:///tmp/strata-bench-{os.getpid()}.sock"
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        self._log = (work / "log").open("wb")
        self._daemon = subprocess.Popen(
            [
                shutil.which("dockerd", path=path) or "dockerd",
                "--iptables=false",
                "--bridge=none",
                f"--data-root={work / 'data'}",
                f"--exec-root={work / 'exec'}",
                f"--pidfile={work / 'pid'}",
                f"--host={self._socket}",
            ],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PATH": path},
        )
        deadline = time.monotonic() + 60
        while subprocess.run(
            ["docker", f"--host={self._socket}", "info"], capture_output=True
        ).returncode:
            if time.monotonic() > deadline or self._daemon.poll() is not None:
                raise RuntimeError((work / "log").read_text())
            time.sleep(0.2)

    @property
    def client(self) -> List[str]:
        return ["docker", f"--host={self._socket}"]

    @property
    def daemon(self) -> int:
        return self._daemon.pid

    def build(self, cold: bool) -> measure.Sample:
        command = [*self.client, "build", "-q", "-t", "bench", "."]
        if cold:
            command.insert(3, "--no-cache")
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        return measure.run(command, self.context, environment, [self._daemon.pid])

    def stop(self) -> None:
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(timeout=60)
        self._log.close()


class Buildah(Rival):
    name = "buildah"
    programs = ("buildah", "runc")

    def build(self, cold: bool) -> measure.Sample:
        (self.context / "Dockerfile").write_text(_DOCKERFILE)
        storage = ["--root", str(self.work / "root"), "--runroot", str(self.work / "run")]
        command = ["buildah", *storage, "bud", "-q", "--layers", "-t", "bench"]
        if cold:
            command.append("--no-cache")
        return measure.run([*command, "."], self.context)


class Umoci(Rival):
    name = "umoci"
    programs = ("umoci",)

    def build(self, cold: bool) -> measure.Sample:
        layout = self.work / "layout"
        script = f"umoci insert --image {layout}:deps --tag bench code /"
        if cold:
            shutil.rmtree(layout, ignore_errors=True)
            script = (
                f"umoci init --layout {layout} && umoci new --image {layout}:deps && "
                f"umoci insert --image {layout}:deps deps / && {script}"
            )
        return measure.run(["sh", "-ec", script], self.context)


class TarfileStreamer(Rival):
    """As Nix' stream script: the standard library's tarfile, every byte read twice, no
    compression."""

    name = "tarfile, read twice"

    def build(self, cold: bool) -> measure.Sample:
        command = [sys.executable, __file__, "stream", str(self.context), str(self.work / "out")]
        return measure.run(command, self.context)


class Floor(Rival):
    """``tar``, one compressor and two hashes: what one layer of everything costs at least."""

    name = "floor: tar, ISA-L, 2 hashes"

    def build(self, cold: bool) -> measure.Sample:
        command = [sys.executable, __file__, "floor", str(self.context), str(self.work / "out")]
        return measure.run(command, self.context)


class _Hashing(io.RawIOBase):
    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.digest.update(data)
        return len(data)


def _stream(context: Path, out: Path) -> None:
    with open(out, "wb") as target:
        for folder in ("deps", "code"):
            hashing = _Hashing()
            for sink in (hashing, target):
                with tarfile.open(fileobj=sink, mode="w|") as archive:  # type: ignore[arg-type]
                    archive.add(context / folder, ".")


def _floor(context: Path, out: Path) -> None:
    from isal import isal_zlib

    diff, digest = hashlib.sha256(), hashlib.sha256()
    encoder = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)
    with open(out, "wb") as target:
        for folder in ("deps", "code"):
            command = ["tar", "--sort=name", "-C", str(context / folder), "-cf", "-", "."]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            while chunk := process.stdout.read(1 << 20):
                diff.update(chunk)
                data = encoder.compress(chunk)
                digest.update(data)
                target.write(data)
            process.wait()
        target.write(encoder.flush())


RIVALS: Dict[str, Type[Rival]] = {
    "docker": Docker,
    "buildah": Buildah,
    "umoci": Umoci,
    "tarfile": TarfileStreamer,
    "floor": Floor,
}

if __name__ == "__main__":
    {"stream": _stream, "floor": _floor}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
