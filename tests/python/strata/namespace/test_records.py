"""Owners, devices and capabilities that are kept beside the files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from strata.namespace.records import NO_RECORD, Record, Records


@pytest.mark.parametrize(
    "record",
    [
        Record(),
        Record(owner=(0, 4294967294)),
        Record(device=(stat.S_IFBLK, 8, 1)),
        Record(capability=b"\x00\x01;\xff"),
        Record((1, 2), (stat.S_IFCHR, 1, 3), b"x"),
    ],
)
def test_encoding(record: Record) -> None:
    assert Record.decoded(record.encoded()) == record


def test_file_keeps_its_record_under_another_name(tmp_path: Path) -> None:
    records = Records()
    file = tmp_path / "file"
    file.touch()
    records.write(file, os.lstat(file), Record(owner=(5, 6)))
    moved = file.rename(tmp_path / "moved")
    assert records.read(moved, os.lstat(moved)) == Record(owner=(5, 6))


def test_link_has_its_record_in_a_table(tmp_path: Path) -> None:
    records = Records()
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    records.write(link, os.lstat(link), Record(owner=(5, 6)))
    other = Records()
    other.add_rows(records.rows())
    assert other.used
    assert other.read(link, os.lstat(link)) == Record(owner=(5, 6))


def test_inode_that_comes_back_has_no_record(tmp_path: Path) -> None:
    records = Records()
    for number in range(50):
        link = tmp_path / f"link-{number}"
        link.symlink_to("nowhere")
        assert records.read(link, os.lstat(link)) in (NO_RECORD, Record())
        records.write(link, os.lstat(link), Record(owner=(5, 6)))
        link.unlink()


def test_whose_a_file_is(tmp_path: Path) -> None:
    status = os.lstat(tmp_path)
    assert Records().owner(NO_RECORD, status) == (status.st_uid, status.st_gid)
    own = Records(own=(status.st_uid, status.st_gid))
    assert own.owner(NO_RECORD, status) == (0, 0)
    assert own.owner(Record(owner=(7, 8)), status) == (7, 8)
