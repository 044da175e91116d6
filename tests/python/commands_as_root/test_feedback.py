"""What a user is told when commands fail."""

from __future__ import annotations

import pytest

from commands_as_root.machine import WAYS, Machine
from strata.archive.entry import Entry


@pytest.mark.parametrize("way", list(WAYS))
def test_line_command_and_exit_code(machine: Machine, way: str) -> None:
    outcome = machine.run("\necho before\nls /no-such-file\necho after\n", way)
    assert outcome.code == 1
    message = outcome.error
    assert "fakeroot_commands: line 3 (`ls /no-such-file`) failed with exit code 2" in message
    assert "before" in message and "No such file or directory" in message
    assert "after" not in message


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 7", "they failed with exit code 7"),
        ("false | true", "line 1 (`… | true`) failed with exit code 1"),
        ('echo "$undefined"', "undefined: unbound variable"),
        ("if true; then", "syntax error"),
        ("f() {\n  false\n}\necho x\nf", "line 2 (`false`) failed with exit code 1"),
        ("no-such-program", "line 1 (`no-such-program`) failed with exit code 127"),
        ("kill -SEGV $$", "exit code 139"),
    ],
)
def test_every_kind_of_failure(machine: Machine, script: str, expected: str) -> None:
    outcome = machine.run(script)
    assert outcome.code == 1
    assert expected in outcome.error


def test_tools_of_this_machine_keep_their_line_in_an_image(machine: Machine) -> None:
    layers = [machine.layer(Entry("etc/config", content=b"x"))]
    outcome = machine.run("true\nrm /no", in_image=True, layers=layers, tools=["rm"])
    assert "line 2 (`rm /no`) failed with exit code 1" in outcome.error


def test_output_of_commands_that_succeed_is_passed_on(machine: Machine) -> None:
    outcome = machine.run("echo out; echo err >&2")
    assert outcome.output == "out\nerr\n"


def test_missing_tool(machine: Machine) -> None:
    outcome = machine.run("true", tools=["no-such-tool"])
    assert outcome.code == 1
    assert "command_tools: there is no 'no-such-tool' in " in outcome.error


def test_packaged_tool(machine: Machine) -> None:
    tool = machine.folder / "greet"
    tool.write_text("#!/bin/sh\necho greetings > greeting\n")
    packaged = [{"name": "greet", "path": str(tool)}]
    assert machine.run("greet", packaged_tools=packaged).content("greeting") == b"greetings\n"


def test_both_fields_in_their_order(machine: Machine) -> None:
    scripts = [
        {"field": "extra_commands", "text": "echo 1 > a", "as_root": False, "in_image": False},
        {"field": "fakeroot_commands", "text": "cat /a > /b", "as_root": True, "in_image": True},
    ]
    outcome = machine.run("", scripts=scripts, tools=["cat"])
    assert outcome.content("b") == b"1\n"
    assert set(outcome.members()) == {"a", "b"}


@pytest.mark.parametrize("way", list(WAYS))
def test_extra_commands_give_nothing_away(machine: Machine, way: str) -> None:
    scripts = [
        {
            "field": "extra_commands",
            "text": "touch file; chown 1000 file",
            "as_root": False,
            "in_image": False,
        }
    ]
    outcome = machine.run("", way, scripts=scripts)
    assert outcome.code == 1
    assert "extra_commands: line 1 (`chown 1000 file`) failed" in outcome.error


@pytest.mark.parametrize("way", list(WAYS))
def test_folder_that_lower_layers_have_otherwise(machine: Machine, way: str) -> None:
    parents = [["tmp", 0o1777, 0, 0], ["srv", 0o750, 33, 33]]
    members = machine.run("mkdir -p tmp/x srv; chmod 700 srv", way, parents=parents).members()
    assert members["tmp"].mode == 0o1777
    assert (members["srv"].mode, members["srv"].uid) == (0o700, 0)


def test_unknown_isolation_is_refused(machine: Machine) -> None:
    outcome = machine.run("true", "user without namespaces", in_image=True)
    assert outcome.code == 1
    assert "may change its root folder" in outcome.error
