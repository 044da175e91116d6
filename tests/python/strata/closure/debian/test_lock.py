"""Locks are written, read and checked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from strata.closure.debian.interpreter import interpreter_of, libc_version, upstream_version
from strata.closure.debian.lock import (
    DebianLock,
    LockedPackage,
    parse_locks,
    render_locks,
    stale_reason,
)
from strata.errors import StrataError


def package(name: str, *depends: str, version: str = "1:2.3-4+deb12u1") -> LockedPackage:
    path = f"pool/main/{name[0]}/{name}.deb"
    return LockedPackage(
        name, version, "amd64", "bookworm", path, 10, "ab" * 32, 2048, tuple(depends)
    )


LOCK = DebianLock(
    "amd64",
    ("bookworm",),
    ("main",),
    ("a-tool",),
    (package("a-tool", "libc6"), package("libc6", version="2.36-9+deb12u14")),
)


def test_round_trip() -> None:
    text = render_locks([LOCK], "app:os")
    assert parse_locks(text, "x.lock") == (LOCK,)
    assert text.startswith("# Written by `pants generate-debian-lockfiles app:os`.")
    assert render_locks(parse_locks(text, "x.lock"), "app:os") == text


def arm64() -> DebianLock:
    packages = tuple(
        replace(item, architecture="arm64", version="1:2.3-5") for item in LOCK.packages
    )
    return replace(LOCK, architecture="arm64", packages=packages)


def test_round_trip_of_several_architectures() -> None:
    """What they have in common is there once; versions may differ."""
    locks = (arm64(), LOCK)
    text = render_locks(locks, "app:os")
    assert parse_locks(text, "x.lock") == locks
    assert text.count("requested = ") == 1
    assert 'architectures = ["arm64", "amd64"]' in text
    assert text.count("[[arm64.package]]") == text.count("[[amd64.package]]") == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["amd64", "arm64"]', "[]", "'architectures' must be names"),
        ('["amd64", "arm64"]', '["amd64", "amd64"]', "each once"),
        ('["amd64", "arm64"]', '["amd64", "../x"]', "'architectures' must be names"),
        ('["amd64", "arm64"]', '["amd64"]', "unknown key 'arm64'"),
        ('["amd64", "arm64"]', '["amd64", "arm64", "i386"]', "not in the lock for i386"),
        ("[[arm64.package]]", "[[arm64.packages]]", "'arm64' must hold 'package' tables"),
        ("[[arm64.package]]", "[arm64.package]", "'package' must be a list of tables"),
        ("format = 2", "format = 1", "'architecture' must be a str"),
        ('architecture = "arm64"', 'architecture = "amd64"', "must be 'arm64' or 'all'"),
    ],
)
def test_bad_locks_of_several_architectures(old: str, new: str, message: str) -> None:
    text = render_locks([LOCK, arm64()])
    assert old in text
    # One table is all it takes, and TOML has a table of one name once.
    changed = text.replace(old, new, 1)
    if new == "[arm64.package]":
        changed = changed[: changed.rindex("[[arm64.package]]")]
    with pytest.raises(StrataError, match=r"^x\.lock") as caught:
        parse_locks(changed, "x.lock")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 3", "'format' must be 1 or 2"),
        ("format = 1", "format = = 1", "not valid TOML"),
        ('architecture = "amd64"\nsuites', "suites", "'architecture' must be a str"),
        ('suites = ["bookworm"]', 'suites = "bookworm"', "'suites' must be a list"),
        ('requested = ["a-tool"]', 'requested = ["b-tool"]', "'requested' names 'b-tool'"),
        ('depends = ["libc6"]', 'depends = ["libc7"]', "'depends' of 'a-tool' names 'libc7'"),
        ('name = "libc6"', 'name = "a-tool"', "'a-tool' occurs twice"),
        ('name = "libc6"', 'name = "Lib C"', "not a package name"),
        ("size = 10", 'size = "10"', "'size' must be a int"),
        ("size = 10\n", "size = 0\n", "'size' must be positive"),
        ("ab" * 32, "zz" * 32, "64 hexadecimal digits"),
        ("pool/main/l", "../pool", "'path' must be relative"),
        ("pool/main/l", "/pool/main/l", "'path' must be relative"),
        ("pool/main/l", "pool/main/?l", "'path' must be relative"),
        ("format = 1", "format = true", "'format' must be 1"),
        ("format = 1", "format = 1\nmirror = 1", "unknown key 'mirror'"),
        ("2.36-9", "2.36 9", "'version' is not a package version"),
        ("installed_size = 2048", "installed_size = -1", "'installed_size' must not be negative"),
        ('depends = ["libc6"]', 'depends = ["libc6", "libc6"]', "each once"),
        ('depends = ["libc6"]', 'depends = ["a-tool"]', "of other packages"),
        ('"amd64"\nsuite =', '"arm64"\nsuite =', "'architecture' must be 'amd64' or 'all'"),
        ('suite = "bookworm"', 'suite = "sid"', "'suite' is 'sid', which is not one of 'suites'"),
        ('suite = "bookworm"', 'suite = "bookworm"\nsweet = 1', "unknown key 'sweet'"),
    ],
)
def test_bad_locks_name_file_and_key(old: str, new: str, message: str) -> None:
    text = render_locks([LOCK])
    assert old in text
    with pytest.raises(StrataError, match=r"^x\.lock") as caught:
        parse_locks(text.replace(old, new), "x.lock")
    assert message in str(caught.value)


def test_stale() -> None:
    locks = [LOCK]
    fine = (("a-tool",), ("amd64",), ("bookworm",), ("main",))
    assert stale_reason(locks, *fine) is None
    assert "packages" in (stale_reason(locks, ("a-tool", "b"), *fine[1:]) or "")
    assert "architectures" in (stale_reason(locks, fine[0], ("arm64",), *fine[2:]) or "")
    assert "architectures" in (stale_reason(locks, fine[0], ("amd64", "arm64"), *fine[2:]) or "")
    assert "suites" in (stale_reason(locks, *fine[:2], ("trixie",), fine[3]) or "")
    assert "components" in (stale_reason(locks, *fine[:3], ("main", "contrib")) or "")
    assert stale_reason([LOCK, arm64()], fine[0], ("amd64", "arm64"), *fine[2:]) is None


@pytest.mark.parametrize(
    ("version", "upstream"),
    [("3.11.2-6+deb12u8", "3.11.2"), ("1:2.3-4-5", "2.3-4"), ("2.36", "2.36"), ("1:9", "9")],
)
def test_upstream_versions(version: str, upstream: str) -> None:
    assert upstream_version(version) == upstream


def test_interpreter_and_libc() -> None:
    assert interpreter_of(LOCK) is None
    assert libc_version(LOCK) == "2.36"
    pythons = (
        package("python3.9-minimal", version="3.9.1-1"),
        package("python3.11-minimal", version="3.11.2-6+deb12u8"),
    )
    found = interpreter_of(replace(LOCK, packages=pythons))
    assert found == ("python3.11-minimal", "/usr/bin/python3.11", "3.11.2")
    assert libc_version(replace(LOCK, packages=())) is None
