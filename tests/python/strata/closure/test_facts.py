"""What layers tell of objects, checked against other programs' words."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Dict

import pytest

from strata.archive.entry import Entry
from strata.closure.facts import directory_hash, file_facts, source_facts


def status(text: str) -> Entry:
    return Entry("var/lib/dpkg/status.d/demo", content=text.encode())


def test_the_hash_of_a_directory_is_that_of_its_sorted_sha256sums(tmp_path: Path) -> None:
    hashes: Dict[str, str] = {}
    for path in ("b/a", "b.txt", "ä", "b/B"):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(path)
        hashes[path] = hashlib.sha256(path.encode()).hexdigest()
    # The definition in golang.org/x/mod/sumdb/dirhash, with the programs that it names.
    command = "find . -type f | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    assert shutil.which("sha256sum")
    found = subprocess.run(command, shell=True, cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert directory_hash(hashes) == found.stdout.decode().split()[0]


def test_there_is_no_hash_without_files_and_none_that_is_not_defined() -> None:
    assert directory_hash({}) == ""
    assert directory_hash({"a\nb": "0" * 64}) == ""
    assert file_facts([], "", {}) == {}


def test_what_was_left_out_or_made_for_the_image_is_not_in_the_hash() -> None:
    hashes = {"store/x/a.py": "1" * 64, "store/x/b.py": "2" * 64, "store/x/link": ""}
    entries = [Entry(f"store/x/{name}") for name in ("a.py", "a.pyc", "link")]
    expected = directory_hash({"a.py": "1" * 64})
    assert file_facts(entries, "store/x", hashes) == {"dir_hash": expected}


@pytest.mark.parametrize(
    ("control", "name", "version"),
    [
        ("Package: demo\nVersion: 1-1\n", "demo", "1-1"),
        ("Package: demo\nSource: other\nVersion: 1-1\n", "other", "1-1"),
        ("Package: demo\nSource: other (2:3-4)\nVersion: 1-1+b1\n", "other", "2:3-4"),
    ],
)
def test_a_package_names_its_source(control: str, name: str, version: str) -> None:
    found = source_facts("demo", [Entry("etc/x"), status(control)])
    assert found == {"source": {"name": name, "version": version}}
    assert source_facts("absent", [status(control)]) == {}
