"""How long a stream lets its reader wait: from layers that are ready to the first byte, and to all.

    python benchmarks/stream.py [TARGET] [--runs N]

TARGET (`app:image`) is built first, so that its layers are in the caches, and then streamed with
a warm daemon. "Layers ready" is when Pants says that it starts the process which streams: what
follows is placing the blobs, starting Python, and writing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional

_CHECKOUT = Path(__file__).resolve().parents[1]
_READY = "Starting: interactive_process"


def stream(target: str) -> Dict[str, float]:
    """Seconds from the start of the command, and the bytes of the archive."""
    environment = {**os.environ, "PANTS_DYNAMIC_UI": "False", "PANTS_COLORS": "False"}
    start = time.monotonic()
    process = subprocess.Popen(
        [str(_CHECKOUT / "pants"), "--level=debug", "run", target],
        cwd=_CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    errors = process.stderr
    ready: List[float] = []

    def watch() -> None:
        for line in errors:
            if _READY in line.decode(errors="replace"):
                ready.append(time.monotonic() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    first: Optional[float] = None
    size = 0
    while chunk := process.stdout.read1(1 << 20):
        if first is None:
            first = time.monotonic() - start
        size += len(chunk)
    total = time.monotonic() - start
    watcher.join()
    if process.wait() or first is None or not ready:
        raise SystemExit(f"the stream of {target} failed")
    return {"ready": ready[0], "first": first, "total": total, "size": size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="?", default="app:image")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    package = [str(_CHECKOUT / "pants"), "package", options.target]
    subprocess.run(package, cwd=_CHECKOUT, check=True, stdout=sys.stderr)
    stream(options.target)
    print("| run | layers ready to first byte, s | to last byte, s | MB |")
    print("|---|---|---|---|")
    waits = []
    for number in range(options.runs):
        found = stream(options.target)
        waits.append(found["first"] - found["ready"])
        rest = found["total"] - found["ready"]
        print(f"| {number + 1} | {waits[-1]:.2f} | {rest:.2f} | {found['size'] / 1e6:.0f} |")
    print(f"\nmedian wait for the first byte: {statistics.median(waits):.2f} s")


if __name__ == "__main__":
    main()
