"""The symlink farm folds, meets and collides as it should."""

from __future__ import annotations

from typing import Dict

import pytest

from strata.archive.entry import Entry, EntryType
from strata.closure.farm import link_farm
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
    assert 'omit_paths={"python:b": ["app/tests/x.py"]}' in str(caught.value)


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
