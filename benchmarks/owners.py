"""Ways to let commands of an ordinary user own files: what each costs, and what it misses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

from repository import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "src/python"))

_USER = 54321
#: Steps of a build, each timed by itself.
STEPS = {
    "make 3,000 files": "mkdir tree; cd tree; seq 3000 | xargs touch; cd ..",
    "chown -R": "chown -R 1000:1000 tree",
    "stat each": "find tree -printf '%U\\n' > owners; test $(sort -u owners) -eq 1000",
    "cp -a": "cp -a tree copy",
    "tar": "tar cf tree.tar tree",
    "compute": "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done",
}


def script() -> str:
    lines = ["set -e", "t() { date +%s%N >> times; }", "t"]
    for step in STEPS.values():
        lines += [step, "t"]
    return "\n".join(lines) + "\n"


def _user(command: List[str], folder: Path) -> Dict[str, float]:
    os.chown(folder, _USER, _USER)
    identity = [f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
    subprocess.run(["setpriv", *identity, *command], cwd=folder, check=True)
    return _times(folder)


def _times(folder: Path) -> Dict[str, float]:
    marks = [int(line) for line in (folder / "times").read_text().split()]
    return {name: (b - a) / 1e9 for name, a, b in zip(STEPS, marks, marks[1:])}


def _strata(folder: Path, way: str) -> Dict[str, float]:
    from strata.archive.compression import Compression
    from strata.archive.writer import write_layer
    from strata.platforms import MACHINES

    architecture = next(key for key, name in MACHINES.items() if name == os.uname().machine)
    write_layer([], folder / "customisation.tar", Compression.NONE, 1)
    field = {"field": "x", "text": script(), "as_root": True, "in_image": False}
    spec = {
        "name": "x", "customisation": "customisation.tar", "cache": "cache", "network": False,
        "compression": "none", "mtime": 1, "owners": [], "parents": [], "scripts": [field],
        "tools": [], "packaged_tools": [], "files": [], "environment": {}, "timeout": 600,
        "memory": "50%", "layers": [], "architecture": architecture,
    }  # fmt: skip
    (folder / "spec.json").write_text(json.dumps(spec))
    for path in folder.iterdir():
        os.chown(path, _USER, _USER)
    environment = ["env", f"PYTHONPATH={folder.parent / 'engine'}", f"STRATA_ISOLATION={way}"]
    os.chown(folder, _USER, _USER)
    identity = [f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
    command = ["setpriv", *identity, *environment, "/usr/bin/python3", "-m", "strata"]
    subprocess.run([*command, "run-commands", "spec.json"], cwd=folder, check=True)
    subprocess.run(["tar", "xf", "blob", "times"], cwd=folder, check=True)
    return _times(folder)


def compare(work: Path, rounds: int) -> str:
    work.chmod(0o755)
    engine = work / "engine"
    engine.mkdir()
    shutil.copytree(CHECKOUT / "src/python/strata", engine / "strata")
    import filelock

    shutil.copytree(Path(filelock.__file__).parent, engine / "filelock")
    for path in (engine, *engine.rglob("*")):
        path.chmod(0o755)
    results: Dict[str, List[Dict[str, float]]] = {}

    def fresh() -> Path:
        folder = work / f"run-{time.time_ns()}"
        folder.mkdir()
        (folder / "script").write_text(script())
        return folder

    for _ in range(rounds):
        folder = fresh()
        subprocess.run(["bash", "script"], cwd=folder, check=True)
        results.setdefault("root, nothing in between", []).append(_times(folder))
        for way in ("single", "plain"):
            results.setdefault(f"Strata, {way}", []).append(_strata(fresh(), way))
        for name, command in (
            ("fakeroot", ["fakeroot", "--", "bash", "script"]),
            ("fakeroot-tcp", ["fakeroot-tcp", "--", "bash", "script"]),
            ("proot -0", ["proot", "-0", "bash", "script"]),
        ):
            if shutil.which(command[0]) is None:
                print(f"{name}: skipped, it is not installed", file=sys.stderr)
                continue
            try:
                results.setdefault(name, []).append(_user(command, fresh()))
            except subprocess.CalledProcessError:
                # proot forgets owners: the step that looks at them fails.
                print(f"{name}: it does not keep what was set", file=sys.stderr)
                results.pop(name)
    lines = [f"| | {' | '.join(STEPS)} |", f"|---|{'---|' * len(STEPS)}"]
    for name, samples in results.items():
        medians = [sorted(s[step] for s in samples)[len(samples) // 2] for step in STEPS]
        lines.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in medians)} |")
    return "\n".join(lines)
