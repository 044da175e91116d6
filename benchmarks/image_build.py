"""How long an image of about 430 MB takes, against other tools and against the least possible.

Run it with a Python that has isal (see ``3rdparty/python/strata.lock``), as root:

    python3 benchmarks/image_build.py --rounds 3 --work /var/tmp --python python3.11

Strata and its rivals take turns, so that a busy machine is busy for all of them. Rivals start from
the finished tree; with ``--python`` there are rows with the making of that tree as well, from the
same wheels and Debian packages that Strata starts from.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import measure
from inputs import Inputs
from repository import CHECKOUT, Repository
from rivals import RIVALS, Rival

_Results = Dict[Tuple[str, str], List[measure.Sample]]


def prepare_context(repository: Repository, work: Path) -> Path:
    """The image's root, split into what seldom and what often changes."""
    layout = repository.root / "dist/app.bench/image.oci"
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:{_tag(layout)}", str(work / "bundle")],
        check=True,
        capture_output=True,
    )
    context = work / "context"
    code = context / "code/opt/store"
    code.mkdir(parents=True)
    (work / "bundle/rootfs").rename(context / "deps")
    for folder in (context / "deps/opt/store").glob("source-*"):
        folder.rename(code / folder.name)
    return context


def _tag(layout: Path) -> str:
    index = json.loads((layout / "index.json").read_text())
    tag: str = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    return tag


def strata_scenarios(repository: Repository) -> Dict[str, Callable[[], measure.Sample]]:
    def cold() -> measure.Sample:
        repository.forget_layers()
        return repository.package("image")

    def edit() -> measure.Sample:
        repository.edit()
        return repository.package("image")

    def bump() -> measure.Sample:
        # The resolve is not what is measured: both versions are resolved before.
        repository.choose_wheels("wheels-bumped.lock")
        try:
            return repository.package("image")
        finally:
            repository.choose_wheels("wheels.lock")
            repository.package("image")

    return {
        "cold": cold,
        "no change": lambda: repository.package("image"),
        "one-line edit": edit,
        "one wheel bumped": bump,
        "second image": lambda: repository.package("second"),
    }


def touch_code(context: Path) -> None:
    (path,) = (context / "code").rglob("service.py")
    path.write_text(path.read_text() + "# edited\n")


def largest_layer(repository: Repository, work: Path) -> Tuple[measure.Sample, int]:
    """The layer process of the largest layer, run again by itself; and the layer's size."""
    kept = work / "kept"
    kept.mkdir()
    repository.forget_layers()
    repository.package(
        "image",
        options=("--keep-sandboxes=always", f"--local-execution-root-dir={kept}"),
    )
    found = []
    for sandbox in kept.iterdir():
        if (sandbox / "layer.json").exists() and (sandbox / "listings.json").exists():
            size = json.loads((sandbox / "layer.json").read_text())["uncompressed_size"]
            found.append((size, str(sandbox)))
    size, sandbox_path = max(found)
    command = ["/usr/bin/python3", "-ISB", "engine/__main__.py", "layer", "spec.json", "out"]
    return measure.run(command, Path(sandbox_path), {"LC_ALL": "C.UTF-8"}), size


_WRITE = """
import os, sys
from pathlib import Path
from strata.archive.compression import Compression
from strata.archive.entry import Entry, FileRange, symlink
from strata.archive.writer import write_layer
entries = []
def walk(folder, prefix):
    for item in os.scandir(folder):
        name = prefix + item.name
        if item.is_symlink():
            entries.append(symlink(name, os.readlink(item.path)))
        elif item.is_dir():
            walk(item.path, name + "/")
        else:
            entries.append(Entry(name, content=FileRange(item.path, item.stat().st_size)))
walk(sys.argv[1], "")
print(write_layer(entries, Path(sys.argv[2]), Compression.GZIP, 1))
"""


def write_one_layer(context: Path, work: Path) -> measure.Sample:
    """The engine's layer writer over the whole tree, to compare with the floor."""
    command = [sys.executable, "-c", _WRITE, str(context / "deps"), str(work / "layer")]
    paths = os.pathsep.join([str(CHECKOUT / "src/python"), *sys.path])
    return measure.run(command, work, {**os.environ, "PYTHONPATH": paths})


def measure_all(arguments: argparse.Namespace, work: Path) -> Tuple[_Results, Dict[str, float]]:
    results: _Results = defaultdict(list)
    facts: Dict[str, float] = {}
    repository = Repository(work / "repository", arguments.form, not arguments.no_bytecode)
    rivals: List[Rival] = []
    try:
        print("resolving wheels ...", file=sys.stderr)
        repository.choose_wheels("wheels-bumped.lock")
        repository.package("image", "second")
        repository.choose_wheels("wheels.lock")
        repository.package("image", "second")
        sizes = [m["size"] for layer in repository.report()["layers"] for m in layer["members"]]
        facts["image, MB unpacked"] = sum(sizes) / 1e6
        facts["image, MB compressed"] = repository.report()["size"] / 1e6
        facts["layers"] = len(repository.report()["layers"])
        context = prepare_context(repository, work)
        for key in arguments.rivals:
            kind = RIVALS[key]
            if kind.missing():
                print(f"{kind.name}: skipped, needs {kind.missing()}", file=sys.stderr)
                continue
            rivals.append(kind(context, work / key))
        scenarios = strata_scenarios(repository)
        inputs = Inputs(arguments.python, work / "inputs") if arguments.python else None
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for scenario, action in scenarios.items():
                results["strata", scenario].append(action())
            made = inputs.make_tree() if inputs else None
            if made is not None:
                results["dpkg-deb and pip install, for rivals", "cold"].append(made)
            for rival in rivals:
                built = rival.build(cold=True)
                results[rival.name, "cold"].append(built)
                if rival.name.startswith(("floor", "tarfile")):
                    continue
                if made is not None:
                    results[rival.name, "cold, end to end"].append(made + built)
                touch_code(context)
                results[rival.name, "one-line edit"].append(rival.build(cold=False))
            results["strata's layer writer", "cold"].append(write_one_layer(context, work))
        sample, size = largest_layer(repository, work)
        facts["largest layer, MB"] = size / 1e6
        facts["its process, peak MB"] = sample.memory / 1e6
    finally:
        repository.stop()
        for rival in rivals:
            rival.stop()
    return results, facts


def table(results: _Results) -> str:
    lines = ["| tool | scenario | seconds | × strata | CPU seconds |", "|---|---|---|---|---|"]
    for (tool, scenario), samples in results.items():
        wall = measure.median(samples, lambda s: s.wall)
        ours = measure.median(results["strata", scenario.partition(",")[0]], lambda s: s.wall)
        cpu = measure.median(samples, lambda s: s.cpu)
        lines.append(f"| {tool} | {scenario} | {wall:.2f} | {wall / ours:.2f} | {cpu:.2f} |")
    return "\n".join(lines)


def machine() -> str:
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return f"{os.cpu_count()} cores of {model}, Linux {platform.release()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument(
        "--python", help="a CPython 3.11 with pip: adds what it takes to make rivals' tree"
    )
    parser.add_argument("--form", choices=["oci", "tar"], default="oci")
    parser.add_argument("--no-bytecode", action="store_true")
    parser.add_argument("--work", type=Path, help="a folder on a disk with 10 GB to spare")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="strata-bench-", dir=arguments.work))
    try:
        results, facts = measure_all(arguments, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{machine()}; medians of {arguments.rounds}\n")
    print(table(results))
    print()
    for name, value in facts.items():
        print(f"- {name}: {value:.0f}")


if __name__ == "__main__":
    main()
