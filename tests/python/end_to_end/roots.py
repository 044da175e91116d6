"""Roots of images: unpacked by a program that is not ours, and run in with chroot."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import List

from end_to_end.runtimes import run


def unpack(archive: Path, folder: Path) -> Path:
    """The image's root, unpacked layer by layer by GNU tar."""
    layout = folder / "layout"
    layout.mkdir()
    run("tar", "-xf", str(archive), "-C", str(layout))
    (manifest,) = json.loads((layout / "manifest.json").read_text())
    root = folder / "root"
    root.mkdir()
    for layer in manifest["Layers"]:
        run("tar", "--numeric-owner", "-xf", str(layout / layer), "-C", str(root))
    return root


def in_root(root: Path, *command: str) -> List[str]:
    process = subprocess.run(
        ["chroot", str(root), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        check=False,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout.splitlines()
