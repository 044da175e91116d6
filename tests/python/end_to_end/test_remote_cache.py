"""A team shares one cache: what one machine built, another does not build again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Iterator, List

import pytest

from end_to_end.other_user import checkout_of_another_user
from end_to_end.pants_checkout import PantsCheckout, PantsResult, members_by_digest, sha256
from end_to_end.remote_servers import Storage, cache_options
from end_to_end.tools import require, unavailable

# Resolves are Pants' own, and find the machine's interpreters and package index; apt's
# configuration is asked on every machine.
_OF_THE_MACHINE = ("Building ", "Resolve the library for ", "Find Debian mirrors")
_EDIT = ("app/web/application.py", "_MAX_BODY = 32 << 20", "_MAX_BODY = 34 << 20")
_COMMANDS = """
files(name="data", sources=["data.txt"])

layered_image(
    name="image",
    contents=[":data"],
    fakeroot_chroot=True,
    command_tools=["chown"],
    fakeroot_commands="chown 1000:1000 /commands/data.txt",
)
"""
_IMAGES = ("app/image", "commands/image")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    started = Storage(tmp_path / "storage")
    yield started
    started.kill()


def package(checkout: PantsCheckout, storage: Storage, prefix: List[str]) -> PantsResult:
    checkout.write("commands/BUILD", _COMMANDS)
    checkout.write("commands/data.txt", "data")
    return checkout.run(
        "package", "app:image", "commands:image", *cache_options(storage.port), prefix=prefix
    )


def ours(result: PantsResult) -> List[str]:
    """The processes of ours that really ran."""
    return [name for name in result.processes if not name.startswith(_OF_THE_MACHINE)]


#: A folder that every machine has and that nothing uses, to mount something at.
_PLACE = "/mnt"


def another_python(folder: Path) -> List[str]:
    """A command prefix that puts another CPython in the place of the machine's ``python3``."""
    others = sorted(Path(sys.base_prefix).parent.glob("3.1*/bin/python3.1[0-9]"))
    if not others:
        unavailable("needs a CPython 3.10 or newer beside the one that runs the tests")
    stand_in = folder / "python3"
    # Another user may not be allowed to where it is, which is where it looks for its library.
    program = f"{_PLACE}/bin/{others[-1].name}"
    stand_in.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={_PLACE}/lib exec {program} "$@"\n')
    stand_in.chmod(0o755)
    replaced = os.path.realpath("/usr/bin/python3")
    script = 'mount --bind "$1" "$2" && mount --bind "$3" "$4" && shift 4 && exec "$@"'
    mounts = [str(others[-1].parent.parent), _PLACE, str(stand_in), replaced]
    return ["unshare", "-m", "sh", "-c", script, "sh", *mounts]


def test_another_machine_builds_nothing_again(storage: Storage, tmp_path: Path) -> None:
    require("unshare", "mount", "setpriv")
    one = PantsCheckout(tmp_path / "one" / "checkout", tmp_path / "one" / "caches")
    built = package(one, storage, [])
    layers = sum(len(one.report(image)["layers"]) for image in _IMAGES)
    # The commands' layer takes the customisation layer, which is a process too.
    assert len(built.layer_processes) == layers
    assert {"Commands of commands:image", "Write app/image.tar"} <= set(built.processes)

    # Another path, user, home, interpreter, and nothing in the store.
    with checkout_of_another_user() as two:
        python = another_python(tmp_path)
        fetched = package(two, storage, ["env", "LANG=C", "HOSTNAME=two", *python])
        assert ours(fetched) == []
        for image in _IMAGES:
            assert sha256(two.archive(image)) == sha256(one.archive(image))

        # An edit costs one layer and the archive that has it, which the first machine then gets.
        before = members_by_digest(two.report("app/image"))
        two.replace(*_EDIT)
        edited = package(two, storage, python)
        assert sorted(ours(edited)) == [
            "Layer of source:common, source:imaging, 2 more objects",
            "Write app/image.tar",
        ]
        assert len(set(members_by_digest(two.report("app/image"))) - set(before)) == 1
        one.replace(*_EDIT)
        assert ours(package(one, storage, [])) == []
        assert sha256(two.archive("app/image")) == sha256(one.archive("app/image"))
