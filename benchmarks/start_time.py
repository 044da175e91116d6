"""How long the demo service takes to its first answer: in its image, and in a plain environment.

Both run on the interpreter of the image's Debian packages, in the same root file system: once from
the directory of links that Strata makes, once from a virtual environment that pip installed the
same lock. Needs root and umoci; run after ``./pants package app:image``.

    python3 benchmarks/start_time.py --rounds 15 --python /usr/bin/python3.11
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Dict, List

CHECKOUT = Path(__file__).resolve().parents[1]


def first_answer(command: List[str]) -> float:
    """Seconds from starting ``command`` to its first answer over HTTP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={"PORT": str(port), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                    return time.perf_counter() - started
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{command} stopped with {process.returncode}")
                time.sleep(0.002)
    finally:
        process.terminate()
        process.wait()


def prepare(work: Path, python: str) -> Dict[str, List[str]]:
    layout = work / "layout"
    layout.mkdir()
    archive = CHECKOUT / "dist/app/image.tar"
    subprocess.run(["tar", "-xf", str(archive), "-C", str(layout)], check=True)
    bundle = work / "bundle"
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:latest", str(bundle)],
        check=True,
        capture_output=True,
    )
    root = bundle / "rootfs"
    # pip needs more of Python than the image has, so it runs outside and installs into the root.
    site = root / "opt/plain/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    lock = str(CHECKOUT / "3rdparty/python/app.lock")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--require-hashes", "--no-deps", "-r", lock]
        + ["--target", str(site), "--only-binary=:all:"],
        check=True,
    )
    for package in ("batch", "common", "imaging", "web"):
        shutil.copytree(CHECKOUT / "app" / package, site / package)
    subprocess.run([python, "-m", "compileall", "-q", str(site)], check=True)
    binary = root / "opt/plain/bin"
    binary.mkdir()
    (binary / "python").symlink_to("/usr/bin/python3.11")
    settings = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"
    (root / "opt/plain/pyvenv.cfg").write_text(settings)
    chroot = ["chroot", "--userspec=1000:1000", str(root)]
    return {
        "image": [*chroot, "/opt/app/server/bin/server"],
        "plain environment": [*chroot, "/opt/plain/bin/python", "-m", "web.main"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--python", default="/usr/bin/python3.11", help="a CPython 3.11 with pip")
    arguments = parser.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="strata-start-") as folder:
        Path(folder).chmod(0o755)
        commands = prepare(Path(folder), arguments.python)
        samples: Dict[str, List[float]] = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                samples[name].append(first_answer(command))
    print("| | median ms | least ms |\n|---|---|---|")
    for name, values in samples.items():
        print(f"| {name} | {statistics.median(values) * 1e3:.0f} | {min(values) * 1e3:.0f} |")


if __name__ == "__main__":
    main()
