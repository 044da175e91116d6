"""However commands are isolated, the layer is the same, byte for byte."""

from __future__ import annotations

import os

import pytest

from commands_as_root.machine import WAYS, WAYS_INTO_IMAGE, WAYS_ON_DISK, WAYS_TO_COPY, Machine
from strata.archive.entry import Entry, EntryType, directory, symlink

TREE = (
    Entry("opt/app/program", mode=0o755, content=b"program"),
    symlink("opt/link", "app/program"),
    directory("srv", 0o750).owned_by(33, 33),
    Entry("srv/page", content=b"page", uid=33, gid=33),
)
IN_TREE = """
# Owners, of files, folders and links; modes after owners, and owners after modes.
mkdir -p var/lib/app
echo data > var/lib/app/data
ln -s data var/lib/app/link
chown -R 1000:1001 var/lib/app
chown -h 5:6 opt/link
touch one two three
chown 7 one; chown :8 one
chmod 6755 two; chown 9:9 two
chown 9:9 three; chmod 4711 three; chgrp 10 srv

# Devices, pipes, hard links, capabilities, attributes.
mknod console c 5 1
mknod -m 660 disk b 8 1
chown 0:6 disk
mkfifo pipe
chown 11:12 pipe
ln opt/app/program opt/app/other
setcap cap_net_bind_service,cap_net_raw+ep opt/app/program

# What was recorded moves and is removed with its file.
mv one renamed
cp -a var/lib/app copy
rm var/lib/app/link disk
ln -s other reused

# Shown as it was set.
stat -c '%n %F %a %u:%g %t:%T' console renamed two three pipe copy copy/data srv srv/page > shown
cat shown
"""
LOWER = (
    Entry("etc/config", content=b"old\n"),
    Entry("etc/kept", content=b"kept\n"),
    Entry("etc/owned", content=b"owned\n", uid=42, gid=43),
    Entry("etc/private", content=b"private\n", mode=0o4711, uid=42, gid=43),
    symlink("etc/link", "kept").owned_by(44, 44),
    Entry("gone/a", content=b"a"),
    Entry("gone/b", content=b"b"),
    Entry("emptied/a", content=b"a"),
    Entry("emptied/sub/b", content=b"b"),
    Entry("replaced/a", content=b"a"),
    Entry("file", content=b"a file"),
    Entry("linked/one", content=b"twice"),
    Entry("linked/two", EntryType.HARDLINK, link="linked/one"),
    directory("mail", 0o2775).owned_by(0, 8),
)
IN_IMAGE = """
cd /
# Deleted, emptied, replaced by another type, and back again.
rm -r gone
rm -r emptied; mkdir emptied
rm -r replaced; echo file > replaced
rm file; mkdir file; echo a > file/a
rm etc/kept; echo kept > etc/kept

# Changed, and touched without a change.
echo new > etc/config
chmod 600 etc/private; chmod 4711 etc/private
touch etc/owned
echo more >> etc/owned
chown 1000:1000 etc/private
chown -h 45:45 etc/link
echo thrice > linked/one
ln etc/config etc/again

# Made: with the owners and modes that folders hand down.
mkdir -p new/deep
chown -R 1000:1000 new
echo letter > mail/letter
mkdir mail/box
mknod null2 c 1 3
setcap cap_chown+ep new/deep 2> /dev/null || true
stat -c '%n %F %a %u:%g' etc/owned etc/private etc/link mail/letter new/deep > shown
cat shown
"""
TOOLS = ["cat", "chmod", "chown", "cp", "ln", "mkdir", "mknod", "rm", "setcap", "stat", "touch"]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "full map"])
def test_in_the_customisation_tree(machine: Machine, way: str) -> None:
    expected = machine.run(IN_TREE, entries=TREE)
    found = machine.run(IN_TREE, way, entries=TREE)
    assert found.content("shown") == expected.content("shown")
    assert found.blob == expected.blob


@pytest.mark.parametrize("way", [*WAYS_INTO_IMAGE[1:], *WAYS_TO_COPY, *WAYS_ON_DISK])
def test_in_the_image(machine: Machine, way: str) -> None:
    layers = [machine.layer(*LOWER), machine.layer(Entry("etc/other", content=b"other"))]
    arguments = {"in_image": True, "layers": layers, "entries": TREE, "tools": TOOLS}
    expected = machine.run(IN_IMAGE, **arguments)
    found = machine.run(IN_IMAGE, way, **arguments)
    assert found.content("shown") == expected.content("shown")
    assert found.blob == expected.blob
    scratch = machine.cache(way) / "scratch"
    assert not scratch.exists() or os.listdir(scratch) == []


def test_what_the_layer_of_the_tree_is(machine: Machine) -> None:
    members = machine.run(IN_TREE, entries=TREE).members()
    owners = {path: (member.uid, member.gid) for path, member in members.items()}
    assert owners["var/lib/app/data"] == owners["copy/link"] == (1000, 1001)
    assert owners["opt/link"] == (5, 6)
    assert owners["renamed"] == (7, 8)
    assert owners["srv"] == (33, 10) and owners["srv/page"] == (33, 33)
    # A new owner takes the bits away, as chown(2) says; bits that are set later stay.
    assert members["two"].mode == 0o755 and owners["two"] == (9, 9)
    assert members["three"].mode == 0o4711
    assert members["console"].ischr() and members["console"].devmajor == 5
    assert members["pipe"].isfifo() and owners["pipe"] == (11, 12)
    assert members["opt/app/program"].linkname == "opt/app/other"
    assert "SCHILY.xattr.security.capability" in members["opt/app/other"].pax_headers
    assert "disk" not in members and "var/lib/app/link" not in members
    assert owners["reused"] == (0, 0)
    assert {member.mtime for member in members.values()} == {1}


def test_what_the_layer_over_an_image_is(machine: Machine) -> None:
    layers = [machine.layer(*LOWER)]
    members = machine.run(IN_IMAGE, in_image=True, layers=layers, tools=TOOLS).members()
    assert set(members) == {
        ".wh.gone",
        "emptied",
        "emptied/.wh..wh..opq",
        "etc",
        "etc/again",
        "etc/config",
        "etc/link",
        "etc/owned",
        "etc/private",
        "file",
        "file/a",
        "linked",
        "linked/one",
        "mail",
        "mail/box",
        "mail/letter",
        "new",
        "new/deep",
        "null2",
        "replaced",
        "shown",
    }
    assert (members["etc/owned"].uid, members["etc/owned"].gid) == (42, 43)
    assert members["etc/private"].mode == 0o711
    assert members["mail/box"].mode == 0o2755
    assert (members["mail/box"].gid, members["mail/letter"].gid) == (8, 8)
    assert members["etc/config"].islnk() or members["etc/again"].islnk()
