"""The set-up under concurrency, sudden death and failures of what it depends on."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from launcher_checkout import (  # pants: no-infer-dep
    UNREACHABLE_URL,  # pants: no-infer-dep
    Checkout,  # pants: no-infer-dep
    finish,  # pants: no-infer-dep
)

from pants_launcher.errors import describe_os_error
from pants_launcher.pip_install import explain


def test_concurrent_starts_set_up_once(checkout: Checkout) -> None:
    processes = [checkout.popen(str(number)) for number in range(3)]
    results = [finish(process) for process in processes]
    assert [result.recorded().args for result in results] == [["0"], ["1"], ["2"]]
    assert len({result.recorded().executable for result in results}) == 1
    assert "".join(result.err for result in results).count("setting Pants up with") == 1
    assert len(checkout.environments()) == 1
    assert len(list(checkout.cache.glob("tools/*"))) == 1


def kill_when(process: subprocess.Popen[str], folder: Path, pattern: str) -> None:
    """Kills a start and all that it runs as soon as a path matches."""
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None, finish(process).err
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert finish(process).code == -signal.SIGKILL


@pytest.mark.parametrize(
    "moment",
    [
        "tools/making-*/bin/pip*",
        "environments/*.*/venv/bin/python",
        "environments/*.*/venv/bin/pants",
        "environments/*.*/wheels",
    ],
)
def test_killed_set_up_is_made_anew(checkout: Checkout, moment: str) -> None:
    kill_when(checkout.popen(), checkout.cache, moment)
    assert not list(checkout.cache.glob("*/*.json"))

    result = checkout.run("again")
    assert result.recorded().args == ["again"]
    assert len(checkout.environments()) == 1
    assert ("removing the unfinished" in result.err) == moment.startswith("environments")
    assert checkout.run("warm").err == ""


def test_start_waits_for_the_set_up_of_a_killed_start(checkout: Checkout) -> None:
    """Only the start is killed, not its set-up: the next start must not disturb that."""
    first = checkout.popen("first")
    deadline = time.monotonic() + 120
    while not checkout.environments():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(first.pid, signal.SIGKILL)
    second = checkout.run("second")
    assert second.recorded().args == ["second"]
    assert "setting Pants up with" not in second.err
    assert len(checkout.environments()) == 1
    assert finish(first).code == -signal.SIGKILL


@pytest.mark.parametrize("lock", ["stage0", "pants", "pex"])
def test_file_with_another_hash_is_refused(checkout: Checkout, lock: str) -> None:
    path = checkout.lock(lock)
    good = path.read_text()
    path.write_text(re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", good))
    checkout.run().failed_with(r"hash is not the locked one")
    assert not list(checkout.cache.glob("*/*.json"))
    assert checkout.environments() == []
    # A failure leaves nothing that would be in the way later.
    path.write_text(good)
    checkout.run().recorded()


def test_index_out_of_reach(checkout: Checkout) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        checkout.env.pop(name, None)
    checkout.env.update(PIP_INDEX_URL=UNREACHABLE_URL, PIP_RETRIES="0")
    checkout.run().failed_with(r"The package index can't be reached")


def test_cache_that_can_not_be_written(checkout: Checkout, tmp_path: Path) -> None:
    # A file in the way stops every user, the superuser too.
    (tmp_path / "file").write_text("")
    checkout.env["XDG_CACHE_HOME"] = str(tmp_path / "file")
    checkout.run().failed_with(r"can't write to the cache folder .*file/strata/launcher")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.ENOENT, "can't write to the cache folder /cache"),
        (errno.EROFS, "can't write to the cache folder /cache"),
        (errno.EACCES, "can't write to the cache folder /cache"),
    ],
)
def test_message_for_a_refusal_of_the_system(number: int, message: str) -> None:
    text = describe_os_error(OSError(number, os.strerror(number), "/cache/x"), "/cache")
    assert text.startswith(message)
    assert "/cache/x" in text and "XDG_CACHE_HOME" in text


def test_refusal_elsewhere_is_not_put_down_to_the_cache() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file", "/checkout/pants.lock")
    assert describe_os_error(error, "/cache") == "/checkout/pants.lock: No such file"


def test_full_disk_is_told_from_what_pip_says() -> None:
    assert "disk is full" in explain("ERROR: Could not install: [Errno 28] No space left on device")
    assert explain("some other failure") == ""
