"""The search for CPython 3.9: its order, and what it turns down."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from launcher_checkout import (  # pants: no-infer-dep
    Checkout,  # pants: no-infer-dep
    base_python,  # pants: no-infer-dep
    script,  # pants: no-infer-dep
)

from pants_launcher import interpreters
from pants_launcher.errors import LauncherError
from pants_launcher.locations import Locations


class Machine:
    """A machine's folders, with interpreters that only answer what they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            "HOME": str(folder / "home"),
            "PATH": f"{folder}/first:{folder}/second",
        }

    def python(self, path: str, *, implementation: str = "cpython", version: str = "3.9.1") -> str:
        """Puts an interpreter at a path below the machine's folder."""
        file = self.folder / path
        facts = {
            "implementation": implementation,
            "version": [int(part) for part in version.split(".")],
            "path": str(file),
            "missing": [],
        }
        return str(script(file, f"echo '{json.dumps(facts)}'"))

    def broken(self, path: str) -> str:
        """Puts a shim at a path that fails as pyenv's do."""
        return str(script(self.folder / path, "echo 'pyenv: command not found' >&2; exit 127"))

    def search(self) -> interpreters.SearchResult:
        """Searches this machine."""
        return interpreters.find(self.env, Locations(self.env, str(self.folder / "a/b/c/package")))

    def found(self) -> str | None:
        """The path of what the search finds."""
        interpreter = self.search().interpreter
        return interpreter.path if interpreter else None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_order_of_the_places(machine: Machine) -> None:
    machine.env["PYENV_ROOT"] = str(machine.folder / "pyenv root")
    script(machine.folder / "second/pyenv", f"echo {machine.folder}/asked")
    machine.env["UV_PYTHON_INSTALL_DIR"] = str(machine.folder / "uv")
    in_order = [
        machine.python("explicit/python"),
        machine.python("first/python3.9"),
        machine.python("second/python3.9"),
        machine.python("pyenv root/versions/3.9.2/bin/python"),
        machine.python("asked/versions/3.9.2/bin/python"),
        machine.python("home/.pyenv/versions/3.9.2/bin/python"),
        machine.python("uv/cpython-3.9.3-linux-x86_64-gnu/bin/python3.9"),
        machine.python("home/.local/share/uv/python/cpython-3.9.3-x/bin/python3.9"),
        machine.python("home/.cache/strata/launcher/python/cpython-3.9.3-x/bin/python3.9"),
    ]
    machine.env["PANTS_PYTHON"] = in_order[0]
    seen = []
    for path in in_order:
        seen.append(machine.found())
        os.unlink(path)
        machine.env.pop("PANTS_PYTHON", None)
    assert seen == in_order
    assert machine.found() is None


def test_newest_patch_by_number(machine: Machine) -> None:
    for patch in (9, 18, 2):
        machine.python(f"home/.pyenv/versions/3.9.{patch}/bin/python", version=f"3.9.{patch}")
    machine.python("home/.pyenv/versions/3.9-dev/bin/python")
    machine.python("home/.pyenv/versions/3.10.1/bin/python", version="3.10.1")
    assert machine.found() == str(machine.folder / "home/.pyenv/versions/3.9.18/bin/python")


def test_what_is_on_the_path_but_does_not_serve_is_passed_over(machine: Machine) -> None:
    shim = machine.broken("first/python3.9")
    machine.python("second/python3.9", implementation="pypy", version="3.9.17")
    wanted = machine.python("home/.pyenv/versions/3.9.18/bin/python")
    result = machine.search()
    assert result.interpreter and result.interpreter.path == wanted
    assert result.rejected == [
        f"{shim} fails when it is run: pyenv: command not found",
        f"{machine.folder}/second/python3.9 is PyPy 3.9.17, not CPython 3.9",
    ]


def test_interpreter_that_can_not_make_environments_is_passed_over(machine: Machine) -> None:
    facts = {"implementation": "cpython", "version": [3, 9, 2], "path": "/x", "missing": ["venv"]}
    script(machine.folder / "first/python3.9", f"echo '{json.dumps(facts)}'")
    [rejected] = machine.search().rejected
    assert "without the standard modules venv" in rejected and "python3.9-venv" in rejected


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "does not exist"),
        ("folder", "is not a file"),
        ("plain", "is not executable"),
        ("newer", "is CPython 3.12.1, not CPython 3.9"),
        ("broken", "fails when it is run: pyenv"),
        ("other", "does not behave like a Python interpreter"),
    ],
)
def test_wrong_explicit_interpreter_is_an_error(machine: Machine, kind: str, message: str) -> None:
    machine.python("first/python3.9")
    path = machine.folder / "explicit"
    if kind == "folder":
        path.mkdir()
    elif kind == "plain":
        path.write_text("")
    elif kind == "newer":
        machine.python("explicit", version="3.12.1")
    elif kind == "broken":
        machine.broken("explicit")
    elif kind == "other":
        script(path, "echo hello")
    machine.env["PANTS_PYTHON"] = str(path)
    with pytest.raises(LauncherError, match=f"PANTS_PYTHON is set to {path}, which {message}"):
        machine.search()


def test_real_interpreter_is_known_for_what_it_is(machine: Machine) -> None:
    script(machine.folder / "first/python3.9", f'exec "{base_python()}" "$@"')
    interpreter = machine.search().interpreter
    assert interpreter is not None
    # The wrapper is seen through: the environment must not depend on it.
    assert os.path.realpath(interpreter.path) == os.path.realpath(base_python())
    assert interpreter.version.startswith("3.9.")


def test_virtual_environment_is_seen_through(machine: Machine) -> None:
    folder = machine.folder / "environment"
    subprocess.run([str(base_python()), "-m", "venv", "--without-pip", str(folder)], check=True)
    machine.env["PANTS_PYTHON"] = str(folder / "bin/python3.9")
    found = machine.found()
    assert found is not None and not Path(found).is_relative_to(folder)
    assert os.path.realpath(found) == os.path.realpath(base_python())


def test_start_with_a_wrong_explicit_interpreter(checkout: Checkout) -> None:
    checkout.env["PANTS_PYTHON"] = "/bin/sh"
    checkout.env["PATH"] = f"{base_python().parent}:/usr/bin:/bin"
    checkout.run().failed_with(r"PANTS_PYTHON is set to /bin/sh, which fails when it is run")
    assert not checkout.cache.exists()


def test_start_without_any_python(checkout: Checkout, tmp_path: Path) -> None:
    # A Python that is too old is none.
    script(tmp_path / "bin/python3", "exit 1")
    del checkout.env["PANTS_PYTHON"]
    checkout.env["PATH"] = str(tmp_path / "bin")
    checkout.run().failed_with(r"no Python 3\.7 or newer was found")


def test_start_with_nothing_but_pyenv(checkout: Checkout, tmp_path: Path) -> None:
    """No Python on the PATH but failing shims; one that pyenv has installed."""
    del checkout.env["PANTS_PYTHON"]
    script(tmp_path / ".pyenv/shims/python3", "exit 127")
    script(tmp_path / ".pyenv/shims/python3.9", "exit 127")
    checkout.env["PATH"] = str(tmp_path / ".pyenv/shims")
    for name in ("python3", "python"):
        script(checkout.home / ".pyenv/versions/3.9.18/bin" / name, f'exec "{base_python()}" "$@"')
    result = checkout.run("--version")
    assert result.recorded().args == ["--version"]
