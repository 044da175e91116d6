"""Starting Pants: what it is handed, and that a later start repeats nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher_checkout import (  # pants: no-infer-dep
    Checkout,  # pants: no-infer-dep
    base_python,  # pants: no-infer-dep
    repository_root,  # pants: no-infer-dep
)


def test_hands_over_the_command_line_and_sets_up_once(checkout: Checkout) -> None:
    folder = checkout.root / "some folder"
    folder.mkdir()
    # A module of the working folder must not be taken for one of Pants's own.
    (folder / "recording_pants.py").write_text("raise ImportError('shadowed')")
    args = ["--tag=-a b", "run", "//app:image", "--", "*", ""]

    first = checkout.run(*args, cwd=folder)
    recorded = first.recorded()
    assert recorded.args == args
    assert recorded.cwd == str(folder)
    assert Path(recorded.executable).is_relative_to(checkout.cache)
    assert "setting Pants up" in first.err

    again = checkout.run(*args, cwd=folder)
    assert again.recorded() == recorded
    assert again.err == ""


def test_pants_is_told_where_pex_is(ready: Checkout) -> None:
    env = ready.run().recorded().env
    url = env["PANTS_PEX_CLI_URL_TEMPLATE"]
    assert url.startswith("file:///")
    content = Path(urllib.parse.unquote(url[len("file://") :])).read_bytes()
    [known] = json.loads(env["PANTS_PEX_CLI_KNOWN_VERSIONS"])
    version, platform, sha256, size = known.split("|")
    assert version == env["PANTS_PEX_CLI_VERSION"] == "v2.1.137"
    assert platform.split("_", 1)[0] == {"Linux": "linux", "Darwin": "macos"}[os.uname().sysname]
    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), str(len(content)))


def test_pex_command_line_is_the_same_in_every_cache(
    ready: Checkout, checkout: Checkout, tmp_path: Path
) -> None:
    first = ready.run().recorded().env["PANTS_PEX_CLI_KNOWN_VERSIONS"]
    checkout.env["XDG_CACHE_HOME"] = str(tmp_path / "other {cache} 100%")
    recorded = checkout.run().recorded()
    assert recorded.env["PANTS_PEX_CLI_KNOWN_VERSIONS"] == first
    assert Path(recorded.executable).is_relative_to(tmp_path / "other {cache} 100%")
    # Pants formats the template.
    url = recorded.env["PANTS_PEX_CLI_URL_TEMPLATE"].format(version="v0", platform="p")
    assert Path(urllib.parse.unquote(url[len("file://") :])).is_file()


def test_interpreter_is_added_to_the_search_path_of_pants(ready: Checkout) -> None:
    env = ready.run().recorded().env
    assert json.loads(env["PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH"]) == [
        "<PYENV>",
        "<PATH>",
        str(base_python().parent),
    ]


def test_settings_of_the_user_stay(ready: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH": '["/somewhere"]',
        "PANTS_PEX_CLI_URL_TEMPLATE": "file:///somewhere/{version}/pex",
    }
    for name, value in settings.items():
        monkeypatch.setitem(ready.env, name, value)
    env = ready.run().recorded().env
    assert {name: env.get(name) for name in settings} == settings
    assert "PANTS_PEX_CLI_KNOWN_VERSIONS" not in env


def test_sets_up_again_when_the_environment_is_gone(checkout: Checkout) -> None:
    first = checkout.run().recorded()
    os.unlink(first.executable)
    second = checkout.run().recorded()
    assert second.executable != first.executable
    assert len(checkout.environments()) == 1


def test_changed_lock_is_set_up_anew(ready: Checkout) -> None:
    first = ready.run().recorded()
    with ready.lock("pants").open("a") as file:
        file.write("# changed\n")
    assert ready.run().recorded().executable != first.executable


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the repository's own locks, so with the real Pants, and its daemon."""
    checkout = Checkout.create(tmp_path_factory.mktemp("real"))
    checkout.env["PANTS_PYTHON"] = str(base_python())
    (checkout.root / "pants.toml").write_text(
        '[GLOBAL]\npants_version = "2.17.1"\nbackend_packages = ["pants.backend.python"]\n'
        '[source]\nroot_patterns = ["/app", "/src/python"]\n'
        '[python]\ninterpreter_constraints = ["CPython==3.9.*"]\n'
        "[python-infer]\nuse_rust_parser = true\n[anonymous-telemetry]\nenabled = false\n"
    )
    yield checkout
    for file in checkout.root.glob(".pids/*/pantsd/pid"):
        os.kill(int(file.read_text()), signal.SIGTERM)


def test_real_pants_runs_a_target_with_clean_output(real: Checkout) -> None:
    """The real Pants, and through it the real Pex."""
    app = real.root / "app"
    app.mkdir()
    (app / "hello.py").write_text("print('hello')\n")
    (app / "BUILD").write_text(
        'pex_binary(name="hello", entry_point="hello.py")\npython_sources()\n'
    )
    result = real.run("--no-pantsd", "run", "app:hello")
    assert (result.code, result.out) == (0, "hello\n"), result.err
    assert "DEPRECATED" not in result.err
    version = real.run("--no-pantsd", "--version")
    assert (version.code, version.out, version.err) == (0, "2.17.1\n", "")


def test_native_client_asks_the_daemon(real: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    first = real.run("--version")
    assert (first.code, first.out) == (0, "2.17.1\n"), first.err
    [environment] = real.environments()
    server = environment / "pants-server"
    script = server.read_text()
    # What the client falls back to is of no use now: only the daemon can have answered.
    server.write_text("#!/bin/sh\necho fallen back >&2\nexit 7\n")
    try:
        answered = real.run("--version")
        assert (answered.code, answered.out, answered.err) == (0, "2.17.1\n", "")
        assert real.run("list", "app:nothing").code == 1
        without = real.run("--no-pantsd", "--version")
        assert (without.code, without.err) == (7, "fallen back\n")
        # The client takes UTF-8 only, and is not started with anything else.
        monkeypatch.setitem(real.env, "ODD", os.fsdecode(b"caf\xe9"))
        odd = real.run("--no-pantsd", "--version")
        assert (odd.code, odd.out) == (0, "2.17.1\n"), odd.err
    finally:
        server.write_text(script)


def test_run_that_lost_its_daemon_is_not_done_again(real: Checkout) -> None:
    [environment] = real.environments()
    server = environment / "pants-server"
    for seconds, code in ((1, 0), (60, 75)):
        started = str(int(time.time()) - seconds)
        process = subprocess.run(
            [str(server), "--no-pantsd", "--version"],
            cwd=real.root,
            env={**real.env, "NO_SCIE_WARNING": "1", "_STRATA_LAUNCHER_START": started},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == code, process.stderr
    assert process.stdout == ""
    assert "start it again" in process.stderr


def test_settings_of_the_launcher_are_not_in_the_settings_of_pants() -> None:
    """So that the official ``pants`` binary can be used instead."""
    text = (repository_root() / "pants.toml").read_text()
    for name in ("pex-cli", "python-bootstrap", "pants_bin_name", ".cache"):
        assert name not in text


@pytest.mark.parametrize("name", ["pants", "pex", "stage0", "uv"])
def test_locks_pin_every_requirement_by_hash_and_name_no_host(name: str) -> None:
    text = (repository_root() / f"3rdparty/python/launcher/{name}.lock").read_text()
    requirements = text.replace("\\\n", "").splitlines()
    assert requirements
    for requirement in requirements:
        assert "==" in requirement and "--hash=sha256:" in requirement, requirement
    assert "://" not in text


def test_both_locks_have_the_same_pex() -> None:
    folder = repository_root() / "3rdparty/python/launcher"
    assert (folder / "pex.lock").read_text() in (folder / "pants.lock").read_text()
