"""Container runtimes behind one interface: load an archive, start it, ask it, stop it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional

from end_to_end.tools import require, require_root

NAME = "strata-demo:latest"
_ORDINARY_USER = 1234
_FETCH = (
    "import sys, urllib.request as r; "
    "q = r.Request(sys.argv[1], data=sys.stdin.buffer.read() or None); "
    "sys.stdout.buffer.write(r.urlopen(q, timeout=5).read())"
)

#: Asks a running service: path and body to answer.
Fetch = Callable[[str, Optional[bytes]], bytes]


def run(*command: str, data: Optional[bytes] = None, env: Optional[Dict[str, str]] = None) -> str:
    process = subprocess.run(command, input=data, capture_output=True, env=env, check=False)
    if process.returncode:
        raise AssertionError(f"{command}: {process.stderr.decode(errors='replace')}")
    return process.stdout.decode(errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(fetch: Fetch, process: "Optional[subprocess.Popen[bytes]]" = None) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert fetch("/healthz", None)
            return
        except (OSError, AssertionError):
            if process is not None and process.poll() is not None:
                raise AssertionError(f"the container stopped with {process.returncode}")
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def over_http(port: int) -> Fetch:
    def fetch(path: str, body: Optional[bytes]) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body)
        with urllib.request.urlopen(request, timeout=5) as answer:
            content: bytes = answer.read()
            return content

    return fetch


def unpack_with_umoci(archive: Path, folder: Path, rootless: bool = False) -> Path:
    """A runtime bundle of the image in ``archive``."""
    layout = folder / "layout"
    layout.mkdir()
    run("tar", "-xf", str(archive), "-C", str(layout))
    extra = ["--rootless"] if rootless else []
    run("umoci", "unpack", *extra, "--image", f"{layout}:latest", str(folder / "bundle"))
    return folder / "bundle"


@contextmanager
def runc(archive: Path, folder: Path, rootless: bool) -> Iterator[Fetch]:
    """The service under runc with a read-only root, as root or as an ordinary user."""
    port = free_port()
    bundle = unpack_with_umoci(archive, folder)
    prefix: List[str] = []
    if rootless:
        prefix = [
            "setpriv",
            f"--reuid={_ORDINARY_USER}",
            f"--regid={_ORDINARY_USER}",
            "--clear-groups",
        ]
        run("chown", "-R", "--no-dereference", f"{_ORDINARY_USER}:{_ORDINARY_USER}", str(bundle))
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o111)
        image = json.loads((bundle / "config.json").read_text())
        (bundle / "config.json").unlink()
        run(*prefix, "runc", "spec", "--rootless", "--bundle", str(bundle))
        config = json.loads((bundle / "config.json").read_text())
        for key in ("args", "env", "cwd"):
            config["process"][key] = image["process"][key]
    else:
        config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["env"].append(f"PORT={port}")
    config["root"]["readonly"] = True
    # The host's loopback is how the test reaches the service.
    namespaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [n for n in namespaces if n["type"] != "network"]
    config["mounts"] = [m for m in config["mounts"] if m["type"] != "cgroup"]
    (bundle / "config.json").write_text(json.dumps(config))
    state = folder / "state"
    state.mkdir()
    state.chmod(0o777)
    name = f"strata-{os.getpid()}-{port}"
    runtime = [*prefix, "runc", "--root", str(state)]
    process = subprocess.Popen(
        [*runtime, "run", "--bundle", str(bundle), name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr").open("wb"),
    )
    try:
        wait_for(over_http(port), process)
        yield over_http(port)
    except AssertionError as error:
        raise AssertionError(f"{error}: {(folder / 'stderr').read_text()}")
    finally:
        subprocess.run([*runtime, "kill", name, "KILL"], stderr=subprocess.DEVNULL, check=False)
        process.wait(timeout=20)
        subprocess.run(
            [*runtime, "delete", "--force", name], stderr=subprocess.DEVNULL, check=False
        )


class Podman:
    """podman with storage of its own. A test that makes one is skipped where it cannot run."""

    def __init__(self) -> None:
        require("podman", "runc")
        require_root()
        # podman refuses long paths.
        folder = Path(tempfile.mkdtemp(prefix="strata-podman-", dir="/tmp"))
        self._folder = folder
        self.command = [
            "podman",
            "--root",
            str(folder / "root"),
            "--runroot",
            str(folder / "run"),
            "--runtime=runc",
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
        ]

    def load(self, archive: Path) -> str:
        """The image ID, which is the digest of its configuration."""
        run(*self.command, "load", "-i", str(archive))
        return run(*self.command, "image", "inspect", "--format", "{{.Id}}", NAME).strip()

    def digest(self) -> str:
        return run(*self.command, "image", "inspect", "--format", "{{.Digest}}", NAME).strip()

    @contextmanager
    def started(self) -> Iterator[Fetch]:
        port = free_port()
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
        container = run(
            *self.command,
            *("run", "-d", "--read-only", "--network=host", *limits, f"--env=PORT={port}", NAME),
        ).strip()
        try:
            wait_for(over_http(port))
            yield over_http(port)
        finally:
            run(*self.command, "rm", "-f", "-t", "1", container)

    def pull(self, reference: str) -> str:
        """The digest of what a registry without TLS has under ``reference``."""
        run(*self.command, "pull", "--tls-verify=false", reference)
        described = run(
            *self.command, "image", "inspect", "--format", "{{.RepoDigests}}", reference
        )
        return digest_in(described)

    def remove(self) -> None:
        run(*self.command, "system", "reset", "--force")
        shutil.rmtree(self._folder, ignore_errors=True)


class Docker:
    """A Docker engine of its own, with its data below ``folder``. ``options`` are dockerd's.

    A test that makes one is skipped where it cannot run.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        require("dockerd", "docker", "containerd", "runc")
        require_root()
        self._folder = folder
        # A socket's path has at most 104 bytes.
        self._short = Path(tempfile.mkdtemp(prefix="strata-docker-", dir="/tmp"))
        self._socket = self._short / "docker.sock"
        self._log = (folder / "dockerd.log").open("wb")
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        self._daemon = subprocess.Popen(
            [
                shutil.which("dockerd", path=path) or "dockerd",
                "--iptables=false",
                "--bridge=none",
                f"--data-root={folder / 'data'}",
                f"--exec-root={self._short / 'exec'}",
                f"--pidfile={folder / 'pid'}",
                f"--host=unix://{self._socket}",
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PATH": path},
        )
        deadline = time.monotonic() + 60
        while subprocess.run([*self.client, "info"], capture_output=True, check=False).returncode:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError((folder / "dockerd.log").read_text())
            time.sleep(0.2)

    @property
    def host(self) -> str:
        return f"unix://{self._socket}"

    @property
    def client(self) -> List[str]:
        return ["docker", f"--host={self.host}"]

    @property
    def environment(self) -> Dict[str, str]:
        """What makes a client talk to this engine."""
        return {"DOCKER_HOST": f"unix://{self._socket}"}

    def load(self, archive: Path) -> str:
        run(*self.client, "load", "-i", str(archive))
        return run(*self.client, "image", "inspect", "--format", "{{.Id}}", NAME).strip()

    def pull(self, reference: str) -> str:
        """The digest of what a registry on loopback has under ``reference``."""
        run(*self.client, "pull", reference)
        described = run(*self.client, "image", "inspect", "--format", "{{.RepoDigests}}", reference)
        return digest_in(described)

    @contextmanager
    def started(self) -> Iterator[Fetch]:
        container = run(*self.client, "run", "-d", "--read-only", "--network=none", NAME).strip()

        def fetch(path: str, body: Optional[bytes]) -> bytes:
            command = ["exec", "-i", container, "/opt/app/server/bin/python", "-c", _FETCH]
            process = subprocess.run(
                [*self.client, *command, f"http://127.0.0.1:8080{path}"],
                input=body or b"",
                capture_output=True,
                check=False,
            )
            if process.returncode:
                raise AssertionError(process.stderr.decode(errors="replace"))
            return process.stdout

        try:
            wait_for(fetch)
            yield fetch
        finally:
            run(*self.client, "rm", "-f", container)

    def stop(self) -> None:
        self._daemon.send_signal(signal.SIGTERM)
        try:
            self._daemon.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        self._log.close()
        # A container on the machine's network leaves a mount behind.
        for line in Path("/proc/mounts").read_text().splitlines():
            mounted = line.split()[1]
            if mounted.startswith((f"{self._folder}/", f"{self._short}/")):
                subprocess.run(["umount", mounted], check=False)
        shutil.rmtree(self._short)


def digest_in(text: str) -> str:
    match = re.search(r"sha256:[0-9a-f]{64}", text)
    assert match is not None, text
    return match[0]
