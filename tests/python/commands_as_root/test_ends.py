"""What is left when commands end, and when whoever runs them does: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from commands_as_root.machine import PYTHON, WAYS, Machine
from commands_as_root.processes import await_true, running


@pytest.mark.parametrize("way", list(WAYS))
def test_nothing_outlives_the_commands(machine: Machine, way: str) -> None:
    mark = f"3{time.time_ns() % 10**6}"
    outcome = machine.run(f"(setsid sleep {mark} &) ; nohup sleep {mark} & true", way)
    assert outcome.code == 0, outcome.error
    assert running(f"sleep {mark}") == []


@pytest.mark.parametrize("way", list(WAYS))
def test_time_limit(machine: Machine, way: str) -> None:
    mark = f"4{time.time_ns() % 10**6}"
    outcome = machine.run(f"echo started; (trap '' TERM; sleep {mark})", way, timeout=5)
    assert outcome.code == 1
    assert "took longer than 5 seconds" in outcome.error and "command_timeout" in outcome.error
    assert "started" in outcome.error
    assert running(f"sleep {mark}") == []


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_a_killed_engine(machine: Machine, way: str, number: int) -> None:
    mark = f"5{time.time_ns() % 10**6}"
    script = f"echo started; (setsid sleep {mark} &); sleep {mark}"
    command, folder, environment = machine.prepare(script, way)
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    await_true(lambda: running(f"sleep {mark}") != [])
    process.send_signal(number)
    process.wait()
    await_true(lambda: running(f"sleep {mark}") == [])
    process.stdout.close()
    # No mount was ever visible outside, and what is left can be removed by whoever ran it.
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    user, _ = WAYS[way]
    remove = ["setpriv", f"--reuid={user}", "--clear-groups", "rm", "-rf", *os.listdir(folder)]
    subprocess.run(remove, cwd=folder, check=True)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("way", list(WAYS))
def test_nothing_outlives_a_killed_parent(machine: Machine, way: str) -> None:
    """As Pants' daemon may be, whose children the engine's processes are."""
    mark = f"6{time.time_ns() % 10**6}"
    command, folder, environment = machine.prepare(f"echo started; sleep {mark} & wait", way)
    parent = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    process = subprocess.Popen(
        [PYTHON, "-c", parent, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    await_true(lambda: running(f"sleep {mark}") != [])
    process.kill()
    process.wait()
    await_true(lambda: running(f"sleep {mark}") == [])
    process.stdout.close()


@pytest.mark.parametrize("way", ["root without namespaces", "user without namespaces"])
def test_nothing_outlives_a_killed_group(machine: Machine, way: str) -> None:
    """What Pants does to its processes, and nothing but processes watch each other."""
    mark = f"7{time.time_ns() % 10**6}"
    script = f"echo started; (setsid sleep {mark} &); sleep {mark}"
    command, folder, environment = machine.prepare(script, way)
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    await_true(lambda: running(f"sleep {mark}") == [])
    process.stdout.close()


@pytest.mark.parametrize("way", ["full map, on disk", "subordinate ids, on disk"])
def test_files_on_disk_go_with_the_next_session(machine: Machine, way: str) -> None:
    script = "echo started; touch x; chown 1000 x; mkdir -m 700 d; chown 1000 d; sleep 50"
    command, folder, environment = machine.prepare(script, way)
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    time.sleep(0.3)
    process.kill()
    process.wait()
    process.stdout.close()
    scratch = machine.cache(way) / "scratch"
    assert len(os.listdir(scratch)) == 1
    # Nothing of it is where Pants would have to remove it.
    assert [
        path for path in folder.rglob("*") if path.stat().st_uid not in (0, folder.stat().st_uid)
    ] == []
    outcome = machine.run("true", way)
    assert outcome.code == 0, outcome.error
    assert os.listdir(scratch) == []
