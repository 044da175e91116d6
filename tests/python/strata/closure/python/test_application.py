"""An application directory behaves as a virtual environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from strata.archive.entry import Entry, EntryType
from strata.closure.listing import ListedPath, Listing
from strata.closure.python.application import Application, Launcher, application_entries
from strata.errors import StrataError

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
SITE = f"lib/python{MINOR}/site-packages"


def listing(name: str, root: str, *paths: str, scripts: "Dict[str, str] | None" = None) -> Listing:
    rows = tuple(ListedPath(path, False) for path in paths)
    return Listing(f"python:{name}", root, rows, scripts or {}, {})


def application(launcher: "Launcher | None" = None, *names: str) -> Application:
    return Application(
        "opt/app/x", names or ("python:a",), "/usr/bin/python3.11", "3.11.2", launcher
    )


def entries_of(app: Application, *listings: Listing) -> Dict[str, Entry]:
    found = application_entries(app, {item.name: item for item in listings})
    assert len({entry.path for entry in found}) == len(found)
    return {entry.path: entry for entry in found}


A = listing("a", "opt/store/a", "lib/python3.11/site-packages/a.py", scripts={"run": "a:main.go"})


def test_shape() -> None:
    found = entries_of(application(), A)
    assert found["opt/app/x/bin/python"].link == "/usr/bin/python3.11"
    assert found["opt/app/x/bin/python3.11"].link == "python"
    assert found["opt/app/x/pyvenv.cfg"].read() == (
        b"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"
    )
    for path in ("bin", "lib/python3.11/site-packages"):
        assert found[f"opt/app/x/{path}"].type is EntryType.DIRECTORY
    assert found["opt/app/x/bin/run"].read() == (
        b"#!/opt/app/x/bin/python\nimport sys\nfrom a import main\nsys.exit(main.go())\n"
    )


@pytest.mark.parametrize(
    ("launcher", "body"),
    [
        (
            Launcher("go", "a.b"),
            "import runpy\nrunpy.run_module('a.b', run_name=\"__main__\", alter_sys=True)\n",
        ),
        (Launcher("go", "a.b:c"), "import sys\nfrom a.b import c\nsys.exit(c())\n"),
        (Launcher("go", script="run"), "import sys\nfrom a import main\nsys.exit(main.go())\n"),
        (
            Launcher("go", "a:c", args=("--x", "y'z"), env=(("K", "v"),)),
            "import os\nos.environ.setdefault('K', 'v')\nimport sys\n"
            "sys.argv[1:1] = ['--x', \"y'z\"]\nimport sys\nfrom a import c\nsys.exit(c())\n",
        ),
    ],
)
def test_launchers(launcher: Launcher, body: str) -> None:
    found = entries_of(application(launcher), A)
    entry = found["opt/app/x/bin/go"]
    assert entry.read().decode() == f"#!/opt/app/x/bin/python\n{body}"
    assert entry.mode == 0o755


def test_launcher_of_a_script_that_is_not_there() -> None:
    with pytest.raises(StrataError, match="console script 'no'.*they have: run"):
        entries_of(application(Launcher("go", script="no")), A)


def test_two_wheels_with_one_script() -> None:
    other = listing("b", "opt/store/b", scripts={"run": "b:main"})
    with pytest.raises(StrataError, match="both python:a and python:b install the script 'run'"):
        entries_of(application(None, "python:a", "python:b"), A, other)


def test_entry_point_that_is_none() -> None:
    with pytest.raises(StrataError, match="'a:b c' of 'go'"):
        entries_of(application(Launcher("go", "a:b c")), A)


_PROGRAM = """
import json, sys, importlib.metadata, ns.one, ns.two, found_by_pth
print(json.dumps([sys.prefix, ns.one.X + ns.two.X, found_by_pth.X,
                  importlib.metadata.version("demo"), sys.argv]))
"""


def test_runs(tmp_path: Path) -> None:
    """A real interpreter takes the directory for a virtual environment."""
    store = tmp_path / "store"
    files = {
        f"a/{SITE}/ns/one.py": "X = 1",
        f"b/{SITE}/ns/two.py": "X = 2",
        f"b/{SITE}/b.pth": "folder\n",
        f"b/{SITE}/folder/found_by_pth.py": "X = 3",
        f"b/{SITE}/demo-1.5.dist-info/METADATA": "Name: demo\nVersion: 1.5\n",
        f"b/{SITE}/program.py": _PROGRAM,
    }
    for path, text in files.items():
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_text(text)
    listings = {}
    for name in "ab":
        paths = [path[2:] for path in files if path.startswith(f"{name}/")]
        item = listing(name, str(store / name).lstrip("/"), *paths)
        listings[item.name] = item
    version = ".".join(str(part) for part in sys.version_info[:3])
    app = Application(
        str(tmp_path / "app").lstrip("/"),
        tuple(listings),
        os.path.realpath(sys.executable),
        version,
        Launcher("go", "program", args=("fixed",)),
    )
    for entry in application_entries(app, listings):
        path = Path("/") / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.type is EntryType.SYMLINK:
            path.symlink_to(entry.link)
        elif entry.type is EntryType.DIRECTORY:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(entry.read())
            path.chmod(entry.mode)
    program = tmp_path / "app/bin/go"
    output = subprocess.run([str(program), "given"], capture_output=True, check=True, env={}).stdout
    prefix, total, by_pth, metadata, argv = json.loads(output)
    assert prefix == str(tmp_path / "app")
    assert (total, by_pth, metadata) == (3, 3, "1.5")
    assert argv[1:] == ["fixed", "given"]
