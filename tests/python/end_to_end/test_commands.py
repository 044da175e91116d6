"""Commands as root, from BUILD files to what runtimes unpack and run."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import os
import pty
import re
import signal
import stat
import struct
import subprocess
import tarfile
import termios
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.runtimes import Docker, run, unpack_with_umoci
from end_to_end.tools import require, require_root

_CHANGED = """
layered_image(
    name="image",
    image_name="changed",
    tags=["latest"],
    contents=["examples/commands:os"],
    fakeroot_chroot=True,
    command_tools=["rm", "mknod", ":hello"],
    command_env={"GREETING": "hi there"},
    fakeroot_commands='''
# A folder of another layer: gone, emptied, replaced by a file; a file replaced by a folder.
rm -r /usr/share/doc/coreutils
rm -r /usr/share/doc/passwd; mkdir /usr/share/doc/passwd
rm -r /usr/share/doc/libcap2; echo file > /usr/share/doc/libcap2
rm /usr/share/doc/libcap2-bin/copyright
mkdir /usr/share/doc/libcap2-bin/copyright
touch /usr/share/doc/libcap2-bin/copyright/inside
rm /usr/bin/yes
chmod 4711 /usr/bin/id
chown 12:34 /usr/bin/stat
ln -s nowhere /usr/share/link; chown -h 5:6 /usr/share/link
mknod /usr/share/device c 1 3
mkdir -m 1770 -p /var/lib/demo; chown 1000:1001 /var/lib/demo
setcap cap_net_raw+ep /usr/bin/env
hello > /var/lib/demo/greeting
''',
)

file(name="hello", source="hello")
"""
_TOOL = "#!/usr/bin/python3.11\nimport os\nprint(os.environ['GREETING'])\n"
# What every way to a root folder must agree about, told by the image's own Python.
_WALK = """
import hashlib, os, stat
found = {}
for folder, names, files in os.walk('/usr'):
    for name in [*names, *files]:
        path = os.path.join(folder, name)
        s = os.lstat(path)
        row = [stat.S_IFMT(s.st_mode), stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid]
        if stat.S_ISREG(s.st_mode):
            row.append(hashlib.sha256(open(path, 'rb').read()).hexdigest())
        if stat.S_ISLNK(s.st_mode):
            row.append(os.readlink(path))
        if stat.S_ISCHR(s.st_mode):
            row.append(s.st_rdev)
        found[path] = row
print(sorted(found.items()))
"""


def _walked(text: str) -> Dict[str, List[Any]]:
    return dict(ast.literal_eval(text))


_WRITE = """
import sys
try:
    open('/var/lib/demo/file', 'w')
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(9)
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    checkout = PantsCheckout(tmp_path_factory.mktemp("commands") / "checkout", daemon=True)
    checkout.write("changed/BUILD", _CHANGED)
    checkout.write("changed/hello", _TOOL)
    checkout.run("package", "changed:image", "examples/commands:image")
    yield checkout
    checkout.stop()


@pytest.fixture
def namespaces() -> None:
    """Commands and run-image as they are for everybody; what is tested needs a usual machine."""
    require_root()


def top_layer(checkout: PantsCheckout, path: str) -> Dict[str, tarfile.TarInfo]:
    report = checkout.report(path)
    name = "blobs/sha256/" + report["layers"][-1]["digest"].partition(":")[2]
    with tarfile.open(checkout.archive(path)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        with tarfile.open(fileobj=file) as layer:
            return {member.name: member for member in layer}


def test_layer_is_the_difference(repository: PantsCheckout) -> None:
    members = top_layer(repository, "changed/image")
    names = set(members)
    assert "usr/share/doc/.wh.coreutils" in names
    assert "usr/share/doc/passwd/.wh..wh..opq" in names
    assert members["usr/share/doc/libcap2"].isfile()
    assert "usr/bin/.wh.yes" in names
    assert members["usr/bin/id"].mode == 0o4711
    assert members["usr/share/device"].ischr()
    assert "SCHILY.xattr.security.capability" in members["usr/bin/env"].pax_headers
    assert members["var/lib/demo/greeting"].size == len("hi there\n")
    assert not [name for name in names if name.startswith(("proc", "dev", "tmp", ".strata"))]


def test_umoci_docker_and_the_namespaces_agree(
    repository: PantsCheckout, namespaces: None, tmp_path: Path, docker: Docker
) -> None:
    require("umoci", "dockerd", "docker", "chroot", "getcap")
    archive = repository.archive("changed/image")
    # Bytecode that it wrote would be a difference.
    python = ["/usr/bin/python3.11", "-IBc", _WALK]
    inside = _walked(repository.stream("run-image", "changed:image", "--", *python).decode())

    root = unpack_with_umoci(archive, tmp_path) / "rootfs"
    unpacked = _walked(run("chroot", str(root), *python))
    # No user namespace has device nodes: there it is an empty file.
    assert stat.S_ISCHR(unpacked["/usr/share/device"][0])
    assert unpacked.pop("/usr/share/device")[4] == os.makedev(1, 3)
    assert inside.pop("/usr/share/device")[1:4] == [0o644, 0, 0]
    assert unpacked == inside
    assert "cap_net_raw=ep" in run("/usr/sbin/getcap", str(root / "usr/bin/env"))

    run(*docker.client, "load", "-i", str(archive))
    by_docker = run(*docker.client, "run", "--rm", "--network=none", "changed:latest", *python)
    found = _walked(by_docker)
    assert stat.S_ISCHR(found.pop("/usr/share/device")[0])
    assert found == inside
    assert "/usr/share/doc/coreutils" not in inside
    assert "/usr/share/doc/passwd/copyright" not in inside
    assert inside["/usr/bin/stat"][2:4] == [12, 34]


_TOUCH = ("--", "/usr/bin/python3.11", "-c", _WRITE)


def test_program_of_the_image_runs_as_its_user(
    repository: PantsCheckout, namespaces: None, docker: Docker
) -> None:
    program = (
        "import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name, os.getcwd(), "
        "oct(os.stat('/var/lib/demo').st_mode))"
    )
    arguments = ["--", "/usr/bin/python3.11", "-c", program]
    expected = b"demo / 0o42770\n"
    # What a machine without limits of its own needs to be told.
    limits = [f"--ulimit={limit}" for limit in ("nofile=1024:1024", "nproc=1000:1000")]
    require("runc", "podman")
    for runtime in ("namespace", "runc", "podman", "docker"):
        options = [f"--run-image-engine-options={limit}" for limit in limits]
        options += [f"--run-image-runtime={runtime}", "examples/commands:image"]
        environment = docker.environment
        program = [*options, *arguments]
        assert repository.stream("run-image", *program, **environment) == expected, runtime
        # The root folder cannot be changed, if that is asked for.
        result = repository.run(
            "run-image", "--read-only", *options, *_TOUCH, environment=environment, check=False
        )
        assert result.exit_code == 9 and "Read-only file system" in result.output, runtime


def test_exit_code_of_the_program_is_that_of_pants(
    repository: PantsCheckout, namespaces: None
) -> None:
    program = ["/usr/bin/python3.11", "-c", "import sys; sys.exit(7)"]
    result = repository.run("run-image", "examples/commands:image", "--", *program, check=False)
    assert result.exit_code == 7


_CACHED = """
files(name="data", sources=["data.txt"])
layered_image(
    name="image",
    contents=[":data"],
    extra_commands="mkdir -p var/made\\n# {comment}",
    fakeroot_commands="{commands}",
    {fields}
)
"""


def cached(repository: PantsCheckout, folder: str, commands: str, **changes: Any) -> List[str]:
    """The processes that really run when an image is built."""
    text = _CACHED.format(
        commands=commands,
        comment=changes.get("comment", ""),
        fields=changes.get("fields", ""),
    )
    repository.write(f"{folder}/BUILD", text)
    repository.write(f"{folder}/data.txt", changes.get("data", f"data of {folder}"))
    result = repository.run("package", f"{folder}:image", *changes.get("options", ()))
    return [name for name in result.processes if not name.startswith("Write ")]


def test_commands_are_one_process_with_what_they_see_as_its_key(
    repository: PantsCheckout,
) -> None:
    mark = time.time_ns()
    first = cached(repository, "c/tree", f"chown 1000 var/made # {mark}", data=f"one {mark}")
    assert first.count("Commands of c/tree:image") == 1
    assert cached(repository, "c/tree", f"chown 1000 var/made # {mark}", data=f"one {mark}") == []
    # They do not see other layers' content, and it is not in their key.
    edited = cached(repository, "c/tree", f"chown 1000 var/made # {mark}", data=f"two {mark}")
    assert len(edited) == 1 and edited[0].startswith("Layer of")
    changed = cached(repository, "c/tree", f"chown 1001 var/made # {mark}", data=f"two {mark}")
    assert changed == ["Commands of c/tree:image"]


def test_commands_in_the_image_depend_on_its_layers(repository: PantsCheckout) -> None:
    mark = time.time_ns()
    options = {"fields": "fakeroot_chroot=True, command_tools=['touch']"}
    cached(repository, "c/chroot", f"touch /made # {mark}", data=f"one {mark}", **options)
    again = cached(repository, "c/chroot", f"touch /made # {mark}", data=f"two {mark}", **options)
    assert "Commands of c/chroot:image" in again


def test_network_is_said_and_not_cached(repository: PantsCheckout) -> None:
    mark = time.time_ns()
    repository.write("c/network/data.txt", "data")
    text = _CACHED.format(
        commands=f"echo {mark} > made", comment="", fields="command_network=True,"
    )
    repository.write("c/network/BUILD", text)
    for _ in range(2):
        result = repository.run("package", "c/network:image")
        assert "Commands of c/network:image" in result.processes
        assert "c/network:image: its commands use the network (`command_network`)" in result.output


def test_failure_names_target_field_line_and_code(repository: PantsCheckout) -> None:
    repository.write("c/fails/data.txt", "data")
    commands = "echo before\\n\\nls /no-such-file"
    repository.write("c/fails/BUILD", _CACHED.format(commands=commands, comment="", fields=""))
    result = repository.run("package", "c/fails:image", check=False)
    assert result.exit_code != 0
    assert "`fakeroot_commands` of c/fails:image: line 3 (`ls /no-such-file`)" in result.output
    assert "failed with exit code 2" in result.output
    assert "before" in result.output
    assert "Traceback" not in result.output
    assert not (repository.root / "dist/c.fails").exists()


def test_output_is_in_the_debug_log(repository: PantsCheckout) -> None:
    mark = f"said by a command {time.time_ns()}"
    repository.write("c/says/data.txt", "data")
    text = _CACHED.format(commands=f"echo {mark} | tee said", comment="", fields="")
    repository.write("c/says/BUILD", text)
    quiet = repository.run("package", "c/says:image")
    assert f"\n{mark}" not in quiet.output
    # Also when the result comes from the cache.
    result = repository.run("package", "c/says:image", environment={"PANTS_LEVEL": "debug"})
    assert f"Commands of c/says:image:\n{mark}" in result.output


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("command_tools=['no-such-tool-here']", "`command_tools` of {}: there is no 'no-such-tool"),
        (
            "command_tools=['examples/commands:os']",
            "`command_tools` of {}: examples/commands:os (a `debian_packages`) is no tool",
        ),
        ("command_timeout=0", "`command_timeout` field in target {} is invalid: it must be more"),
        ("command_env={'A-B': 'c'}", "`command_env` field in target {} is invalid: 'A-B' is no "),
    ],
)
def test_bad_fields(repository: PantsCheckout, fields: str, expected: str) -> None:
    repository.write("c/bad/data.txt", "data")
    repository.write("c/bad/BUILD", _CACHED.format(commands="true", comment="", fields=fields))
    result = repository.run("package", "c/bad:image", check=False)
    assert result.exit_code != 0
    assert expected.format("c/bad:image") in result.output


def test_store_stays_as_it_was(tmp_path: Path) -> None:
    """Root in a namespace changes and deletes all it can reach, and none of it is Pants' own."""
    caches = tmp_path / "caches"
    checkout = PantsCheckout(tmp_path / "checkout", caches)
    commands = (
        "find / -xdev -type f -writable -exec sh -c 'for f; do echo x > $f; chmod 0 $f; done' _ "
        "{} + || true\\nrm -rf --one-file-system /usr /etc /opt /var /lib || true"
    )
    fields = "fakeroot_chroot=True, command_tools=['find', 'sh', 'chmod', 'rm'],"
    checkout.write("hostile/data.txt", "d" * 4_000_000)
    text = _CACHED.format(commands=commands, comment="", fields=fields)
    checkout.write("hostile/BUILD", text.replace('":data"', '":data", "examples/commands:os"'))
    checkout.run("package", "hostile:image")
    members = top_layer(checkout, "hostile/image")
    assert any(name.endswith(".wh.usr") for name in members), sorted(members)[:20]
    stored = [path for path in (caches / "store/immutable").rglob("*") if path.is_file()]
    assert len(stored) > 3
    for path in stored:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert checkout.run("package", "hostile:image").layer_processes == []


def test_unpacked_layers_stay_as_they_were(repository: PantsCheckout) -> None:
    """The commands of one image are not seen by those of the next."""
    options = {"fields": "fakeroot_chroot=True, command_tools=['rm', 'test'],"}
    mark = time.time_ns()
    cached(repository, "c/lower", f"rm -rf /c # {mark}", data="shared", **options)
    assert "c/.wh.lower" in top_layer(repository, "c.lower/image") or ".wh.c" in top_layer(
        repository, "c.lower/image"
    )
    cached(repository, "c/lower", f"test -e /c/lower/data.txt # {mark}", data="shared", **options)


def test_long_commands_are_seen_to_run(repository: PantsCheckout) -> None:
    """On a terminal: whose commands run, and for how long."""
    repository.write("c/long/data.txt", "data")
    text = _CACHED.format(commands=f"sleep 5 # {time.time_ns()}", comment="", fields="")
    repository.write("c/long/BUILD", text)
    with Terminal(repository, "--dynamic-ui", "package", "c/long:image") as terminal:
        shown = terminal.read_to_end()
    assert re.search(r"[2-9]\.\d+s[^\n]{0,20}Commands of c/long:image", shown), shown[-3000:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_survives_a_build_that_is_ended(
    repository: PantsCheckout, number: signal.Signals
) -> None:
    mark = f"8{time.time_ns() % 10**6}"
    repository.write("c/ended/data.txt", "data")
    text = _CACHED.format(commands=f"(setsid sleep {mark} &); sleep {mark}", comment="", fields="")
    repository.write("c/ended/BUILD", text)
    process = subprocess.Popen(
        [str(repository.root / "pants"), "package", "c/ended:image"],
        cwd=repository.root,
        # Without the daemon Pants is one process, which can be killed as a whole.
        env={**os.environ, "PANTS_PANTSD": "False", "PANTS_CONCURRENT": "True"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + _START_SECONDS
    while not _running(mark):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    process.wait(timeout=_START_SECONDS)
    deadline = time.monotonic() + 30
    while _running(mark):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ".strata" not in Path("/proc/self/mountinfo").read_text()


def _running(mark: str) -> bool:
    command = b"\0".join((b"sleep", mark.encode(), b""))
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if path.read_bytes() == command:
                return True
    return False


class Terminal:
    """A command of Pants' on a terminal of its own."""

    def __init__(self, repository: PantsCheckout, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._process = subprocess.Popen(
            [str(repository.root / "pants"), *arguments],
            cwd=repository.root,
            env={**os.environ, "TERM": "xterm", "PANTS_PANTSD": "True"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def read_to_end(self) -> str:
        found = b""
        # Linux ends a terminal that nobody has open any more with an error.
        with contextlib.suppress(OSError):
            while part := os.read(self._ours, 65536):
                found += part
        return found.decode(errors="replace")

    def __exit__(self, *exception: object) -> None:
        self._process.wait(timeout=60)
        os.close(self._ours)


#: Pants without its daemon takes its time on a busy machine.
_START_SECONDS = 400


def test_what_this_machine_can_do(repository: PantsCheckout) -> None:
    output = repository.run("check-namespaces").output
    assert "a user namespace with one id: " in output
    assert "fakeroot_commands with fakeroot_chroot: " in output
    repository.run("check-namespaces", "--clear-layers")
    repository.run("run-image", "examples/commands:image")
