"""The symlink farm folds, meets and collides as it should."""

from __future__ import annotations

import random
import re
from fnmatch import fnmatchcase
from typing import Dict

import pytest

from strata.archive.entry import Entry, EntryType
from strata.closure.farm import collision, link_farm
from strata.closure.listing import ListedPath, Listing
from strata.errors import StrataError


def listing(name: str, *paths: str, **same: str) -> Listing:
    rows = [
        ListedPath(path.rstrip("/"), path.endswith("/"), same=same.get("same", ""))
        for path in paths
    ]
    return Listing(f"python:{name}", f"opt/store/{name}", tuple(rows))


def links(entries: "list[Entry]") -> Dict[str, str]:
    return {entry.path: entry.link if entry.type is EntryType.SYMLINK else "" for entry in entries}


def test_a_directory_of_one_owner_is_one_link() -> None:
    farm = link_farm([listing("a", "lib/x/one.py", "lib/x/y/two.py")], "app")
    assert links(farm) == {"app/lib": "/opt/store/a/lib"}


def test_directories_that_must_be_real_are() -> None:
    farm = link_farm([listing("a", "lib/x/one.py")], "app", real=("lib",))
    assert links(farm) == {"app/lib": "", "app/lib/x": "/opt/store/a/lib/x"}


def test_namespace_packages_meet_in_real_directories() -> None:
    one = listing("a", "ns/alpha/__init__.py")
    two = listing("b", "ns/beta/__init__.py", "ns/extra.py")
    assert links(link_farm([one, two], "app")) == {
        "app/ns": "",
        "app/ns/alpha": "/opt/store/a/ns/alpha",
        "app/ns/beta": "/opt/store/b/ns/beta",
        "app/ns/extra.py": "/opt/store/b/ns/extra.py",
    }


def test_equal_declarations_of_a_namespace_are_shared_with_their_bytecode() -> None:
    paths = ("ns/__init__.py", "ns/__pycache__/__init__.cpython-311.pyc")
    one, two = listing("a", *paths, same="1"), listing("b", *paths, same="1")
    found = links(link_farm([one, two], "app"))
    assert found["app/ns/__init__.py"] == "/opt/store/a/ns/__init__.py"
    assert found["app/ns/__pycache__/__init__.cpython-311.pyc"].startswith("/opt/store/a/")


def test_collision_names_both_owners_the_path_and_the_way_out() -> None:
    one, two = listing("a", "tests/x.py"), listing("b", "tests/x.py")
    with pytest.raises(StrataError) as caught:
        link_farm([one, two], "app")
    assert str(caught.value).startswith("python:a and python:b both contain /app/tests/x.py.")
    assert 'omit_paths={"python:b": ["opt/store/b/tests/x.py"]}' in str(caught.value)


def test_different_declarations_of_a_namespace_collide() -> None:
    one, two = listing("a", "ns/__init__.py", same="1"), listing("b", "ns/__init__.py", same="2")
    with pytest.raises(StrataError, match="both contain /app/ns/__init__.py"):
        link_farm([one, two], "app")


@pytest.mark.parametrize("paths", [("x", "x/y"), ("x/y", "x")])
def test_a_file_and_a_directory_collide(paths: "tuple[str, str]") -> None:
    with pytest.raises(StrataError, match="both contain /app/x"):
        link_farm([listing("a", paths[0]), listing("b", paths[1])], "app")


def test_order_of_members_does_not_matter() -> None:
    members = [listing("a", "n/a.py"), listing("b", "n/b.py"), listing("c", "c/c.py")]
    assert links(link_farm(members, "app")) == links(link_farm(members[::-1], "app"))


def omitted(members: "list[Listing]", error: StrataError) -> "list[Listing]":
    """``members`` as they are once one does what the error says."""
    name, pattern = re.findall(r'omit_paths=\{"(.*)": \["(.*)"\]\}', str(error))[0]
    result = []
    for member in members:
        kept = tuple(
            path
            for path in member.paths
            if member.name != name or not fnmatchcase(f"{member.root}/{path.path}", pattern)
        )
        assert member.name != name or len(kept) < len(member.paths)
        result.append(Listing(member.name, member.root, kept))
    return result


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (["tests/x.py", "a"], ["tests/x.py", "b"]),
        (["x", "a"], ["x/y", "x/z/w", "b"]),
        (["x/y", "a"], ["x", "b"]),
        # Shell patterns take these characters for something else.
        (["a[1]*?.txt", "a"], ["a[1]*?.txt", "b"]),
        (["[x]", "a"], ["[x]/y", "b"]),
    ],
)
def test_the_way_out_of_a_collision_leads_out(one: "list[str]", two: "list[str]") -> None:
    members = [listing("a", *one), listing("b", *two)]
    with pytest.raises(StrataError) as caught:
        link_farm(members, "app")
    farm = links(link_farm(omitted(members, caught.value), "app"))
    assert farm["app/b"] == "/opt/store/b/b"


@pytest.mark.parametrize(
    ("first", "second", "way_out"),
    [
        ("debian:a", "debian:b", "If one of them can"),
        ("debian:a", "/opt/app/x", 'If debian:a can do without it, .*{"debian:a": ["etc/x"]}'),
        ("the image's own entries", "files:b", 'If files:b can .*{"files:b": ["etc/x"]}'),
        ("/opt/app/x", "the image's own entries", "Move or rename one of the two"),
    ],
)
def test_only_objects_can_leave_something_out(first: str, second: str, way_out: str) -> None:
    message = str(collision("etc/x", first, second))
    assert message.startswith(f"{first} and {second} both contain /etc/x. ")
    assert re.search(way_out.replace("[", r"\["), message)


def test_empty_directories_and_links() -> None:
    one = listing("a", "cache/", "data/x")
    two = listing("b", "cache/", "log/")
    assert links(link_farm([one, two], "app")) == {
        "app/cache": "",
        "app/data": "/opt/store/a/data",
        "app/log": "/opt/store/b/log",
    }


def test_real_directories_stay_real_at_every_depth() -> None:
    one = listing("a", "lib/python3.11/site-packages/a.py", "bin/x", "share/x")
    real = ("bin", "lib", "lib/python3.11", "lib/python3.11/site-packages")
    found = links(link_farm([one], "app", real))
    directories = sorted(path for path, target in found.items() if not target)
    assert directories == [f"app/{path}" for path in real]
    assert found["app/share"] == "/opt/store/a/share"


@pytest.mark.parametrize("seed", range(25))
def test_random_farms_show_every_file_of_every_member_once(seed: int) -> None:
    """Following links from the farm leads to each member's files and to nothing else."""
    source = random.Random(seed)
    everything = sorted(
        {
            "/".join(source.choices("pqrs", k=source.randrange(1, 4))) + f"/f{index}"
            for index in range(40)
        }
    )
    members = []
    for index in range(4):
        own = [path for path in everything if hash_of(path) % 4 == index]
        if own:
            members.append(listing(f"m{index}", *own))
    farm = links(link_farm(members, "app"))
    seen: Dict[str, str] = {}
    for path, target in farm.items():
        if not target:
            continue
        name = target.split("/")[3]
        member = next(m for m in members if m.root == f"opt/store/{name}")
        inside = target[len(f"/opt/store/{name}/") :]
        assert path == f"app/{inside}"
        for listed in member.paths:
            if listed.path == inside or listed.path.startswith(f"{inside}/"):
                assert seen.setdefault(listed.path, name) == name
    assert sorted(seen) == everything
    # No link leads through another, and a directory is real only where members meet.
    for path, target in farm.items():
        assert farm.get(path.rpartition("/")[0], "") == ""
        if not target:
            owners = {
                m.name for m in members for p in m.paths if f"app/{p.path}".startswith(f"{path}/")
            }
            assert len(owners) > 1


def hash_of(text: str) -> int:
    return sum(text.encode()) * 31 + len(text)
