"""What dockerTools' own tests check, by number: contents, commands, merging and exporting.

See test_docker_tools_parity.py for the numbers.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Iterator

import pytest

from end_to_end.pants_checkout import PantsCheckout
from end_to_end.parity_images import (
    DIST,
    FOLDER,
    SHELL,
    Engine,
    archive,
    files_below,
    layer_members,
    load_and_run_with_podman,
)
from end_to_end.runtimes import run
from end_to_end.tools import require, require_root

_BUILD = f"""
files(name="hello", sources=["hello.txt"])
files(name="tool", sources=["tool.sh"])
image_files(name="placed", files=[":hello"], destination="/")
image_files(name="secrets", files=[":hello", ":tool"], destination="/etc/secrets")
image_symlink(name="link", path="/etc/deep/link", target="../../hello.txt")
image_directory(name="tmp", path="/tmp", mode="1777")
archive(name="bundle", files=[":hello"], format="tar")

layered_image(name="empty", image_name="parity-empty")
layered_image(name="script-only", image_name="parity-script", extra_commands="echo made > out")
layered_image(
    name="faithful",
    image_name="parity-faithful",
    contents=[{SHELL}, ":placed", ":bundle", ":link", "examples/minimal:certificates"],
    uid=1000,
    gid=1000,
    uname="user",
    gname="user",
)
layered_image(
    name="with-store", image_name="parity-store", contents=[{SHELL}, ":bundle"]
)
layered_image(
    name="without-store",
    image_name="parity-no-store",
    contents=[{SHELL}, ":bundle"],
    include_store=False,
)
layered_image(
    name="without-store-chroot",
    image_name="parity-no-store-chroot",
    contents=[{SHELL}, ":bundle"],
    include_store=False,
    fakeroot_chroot=True,
    fakeroot_commands="busybox mkdir -p /made",
)
layered_image(
    name="commands",
    image_name="parity-commands",
    contents=[{SHELL}, ":bundle"],
    extra_commands='''
echo extra > extra
echo "a 'quoted' (thing) \\\\"here\\\\" \\$HOME" > quotes
ln -s /opt/app/bundle/bundle.tar only-in-a-script
''',
    fakeroot_commands='''
mkdir -p owned
chown 1000:1000 owned
echo "(and) 'more'" >> quotes
''',
)
layered_image(
    name="chroot",
    image_name="parity-chroot",
    contents=[{SHELL}, ":activate"],
    fakeroot_chroot=True,
    fakeroot_commands='''
/usr/bin/busybox mkdir -p /data /etc/made
/usr/bin/busybox ln -s /usr/bin/busybox /data/busybox
/usr/bin/busybox touch /data/file
/usr/bin/busybox chown 12345:12345 /data/file
/bin/sh /usr/local/activate.sh
''',
)
files(name="activation", sources=["activate.sh"])
image_files(name="activate", files=[":activation"], destination="/usr/local")
layered_image(
    name="a",
    contents=[{SHELL}],
    fakeroot_chroot=True,
    fakeroot_commands="printf a >> /order",
)
layered_image(
    name="b", base=":a", fakeroot_chroot=True, fakeroot_commands="printf b >> /order"
)
layered_image(
    name="abc",
    image_name="parity-abc",
    base=":b",
    fakeroot_chroot=True,
    fakeroot_commands="printf c >> /order",
)
layered_image(
    name="ruled",
    image_name="parity-ruled",
    tags=["1"],
    contents=[{SHELL}, ":secrets", ":tmp"],
    owners=[
        {{"paths": "etc/secrets/hello.txt", "mode": "0400", "uid": 7}},
        {{"paths": "etc/secrets/*.sh", "mode": "4755", "capabilities": "cap_net_raw+ep"}},
    ],
)
layered_image(
    name="plain", image_name="parity-plain", contents=[{SHELL}, ":placed"], compression="none"
)
layered_image(
    name="zstd", image_name="parity-zstd", contents=[{SHELL}, ":placed"], compression="zstd"
)
merged_images(name="merged", images=[":ruled", ":plain"])
merged_images(name="mixed", images=[":ruled", ":plain", ":zstd"])
image_root(name="root", image=":ruled")
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    checkout = PantsCheckout(tmp_path_factory.mktemp("contents") / "checkout", daemon=True)
    checkout.write(f"{FOLDER}/BUILD", _BUILD)
    checkout.write(f"{FOLDER}/hello.txt", "hello\n")
    checkout.write(f"{FOLDER}/tool.sh", "#!/bin/sh\n")
    checkout.write(
        f"{FOLDER}/activate.sh", "busybox mkdir -p /etc/app\necho active > /etc/app/state\n"
    )
    try:
        checkout.run("package", f"{FOLDER}::")
        yield checkout
    finally:
        checkout.stop()


def cat(engine: Engine, image: str, path: str, *options: str) -> str:
    return engine.run(image, "/usr/bin/busybox", "cat", path, options=options)


def test_24_nothing_but_what_the_script_made(repository: PantsCheckout, engine: Engine) -> None:
    names = [m.name for layer in layer_members(archive(repository, "script-only")) for m in layer]
    assert names == ["out"]
    engine.load(archive(repository, "script-only"))


def test_empty_image(repository: PantsCheckout, engine: Engine) -> None:
    assert layer_members(archive(repository, "empty")) == [[]]
    image = engine.load(archive(repository, "empty"))
    assert engine.inspect(image)["Size"] == 0


def test_25_contents_are_what_they_were(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "faithful"))
    bundle = "/opt/app/bundle/bundle.tar"
    found = engine.run(image, "/usr/bin/busybox", "sha256sum", "/hello.txt", bundle).split()
    expected = [
        run("sha256sum", str(path)).split()[0]
        for path in (
            repository.root / FOLDER / "hello.txt",
            repository.root / DIST / "bundle.tar",
        )
    ]
    assert found[::2] == expected


def test_26_links_stay_links(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "faithful"))
    assert engine.run(image, "/usr/bin/busybox", "readlink", "/etc/deep/link") == (
        "../../hello.txt\n"
    )
    assert cat(engine, image, "/etc/deep/link") == "hello\n"
    assert engine.run(image, "/usr/bin/busybox", "readlink", "/bin") == "usr/bin\n"


def test_27_store_can_be_entered_by_others(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "faithful"))
    stat = ["/usr/bin/busybox", "stat", "-c", "%a", "/opt", "/opt/store"]
    assert engine.run(image, *stat, options=["-u", "4321"]).split() == ["755", "755"]
    assert engine.run(
        image, "/usr/bin/busybox", "ls", "/opt/store/package-bundle", options=["-u", "4321"]
    )


def test_28_files_at_the_root(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "faithful"))
    assert cat(engine, image, "/hello.txt") == "hello\n"


@pytest.mark.parametrize("name", ["without-store", "without-store-chroot"])
def test_29_image_without_its_store(
    repository: PantsCheckout, engine: Engine, tmp_path: Path, name: str
) -> None:
    assert files_below(archive(repository, name), "opt/store/") == []
    image = engine.load(archive(repository, name))
    path = "/opt/app/bundle/bundle.tar"
    assert "No such file" in engine.fails(image, "/usr/bin/busybox", "cat", path)
    with tarfile.open(archive(repository, "with-store")) as whole:
        text = whole.extractfile("manifest.json")
        assert text is not None
        for layer in json.load(text)[0]["Layers"]:
            with tarfile.open(fileobj=whole.extractfile(layer)) as members:
                members.extractall(tmp_path, [m for m in members if m.name.startswith("opt/store")])
    mounted = f"--volume={tmp_path}/opt/store:/opt/store:ro"
    assert "hello.txt" in engine.run(
        image, "/usr/bin/busybox", "tar", "-tf", path, options=[mounted]
    )


def test_30_certificates_where_programs_look(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "faithful"))
    for path in (
        "/etc/ssl/certs/ca-bundle.crt",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ):
        assert cat(engine, image, path, "-u", "4321").startswith("-----BEGIN CERTIFICATE-----")


def test_31_extra_commands(repository: PantsCheckout, engine: Engine) -> None:
    assert cat(engine, engine.load(archive(repository, "commands")), "/extra") == "extra\n"


def test_32_quotes_are_taken_once(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "commands"))
    assert cat(engine, image, "/quotes") == "a 'quoted' (thing) \"here\" $HOME\n(and) 'more'\n"


def test_33_owners_that_commands_set(repository: PantsCheckout, engine: Engine) -> None:
    stat = ["/usr/bin/busybox", "stat", "-c", "%u:%g"]
    image = engine.load(archive(repository, "commands"))
    assert engine.run(image, *stat, "/owned") == "1000:1000\n"
    image = engine.load(archive(repository, "chroot"))
    assert engine.run(image, *stat, "/data/file") == "12345:12345\n"


def test_34_what_only_a_script_refers_to(repository: PantsCheckout, engine: Engine) -> None:
    # Named in `contents`: nothing is looked for in bytes.
    image = engine.load(archive(repository, "commands"))
    link = engine.run(image, "/usr/bin/busybox", "readlink", "/only-in-a-script").strip()
    assert link.startswith("/opt/app/bundle")
    assert files_below(archive(repository, "commands"), "opt/store/package-bundle")


def test_35_absolute_paths_in_the_image(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "chroot"))
    assert engine.run(image, "/data/busybox", "echo", "linked") == "linked\n"


def test_36_what_a_script_of_the_image_made(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "chroot"))
    assert cat(engine, image, "/etc/app/state") == "active\n"


def test_37_lower_layers_are_there_in_their_order(
    repository: PantsCheckout, engine: Engine
) -> None:
    assert cat(engine, engine.load(archive(repository, "abc")), "/order") == "abc"


def test_38_owner_of_the_store(repository: PantsCheckout, engine: Engine) -> None:
    owners = {
        (m.uid, m.gid, m.uname, m.gname)
        for layer in layer_members(archive(repository, "faithful"))
        for m in layer
        if m.name.startswith("opt/store/")
    }
    assert owners == {(1000, 1000, "user", "user")}
    image = engine.load(archive(repository, "faithful"))
    stat = ["/usr/bin/busybox", "stat", "-c", "%u:%g", "/opt/store/package-bundle", "/hello.txt"]
    assert engine.run(image, *stat).split() == ["1000:1000", "0:0"]


def test_39_modes_and_owners_by_pattern(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "ruled"))
    paths = ["/etc/secrets/hello.txt", "/etc/secrets/tool.sh", "/etc/secrets", "/tmp"]
    stat = ["/usr/bin/busybox", "stat", "-c", "%a %u", *paths]
    assert engine.run(image, *stat).splitlines() == ["400 7", "4755 0", "755 0", "1777 0"]


def test_capabilities_arrive(repository: PantsCheckout, tmp_path: Path) -> None:
    require("umoci", "getcap")
    require_root()
    layout = tmp_path / "layout"
    layout.mkdir()
    run("tar", "-xf", str(archive(repository, "ruled")), "-C", str(layout))
    run("umoci", "unpack", "--image", f"{layout}:1", str(tmp_path / "bundle"))
    tool = tmp_path / "bundle/rootfs/etc/secrets/tool.sh"
    assert run("getcap", str(tool)).split()[-1] == "cap_net_raw=ep"


def test_41_merged_images_all_load(repository: PantsCheckout, engine: Engine) -> None:
    plain = repository.report("app.parity/plain")["references"]
    output = engine.docker("load", "-i", str(archive(repository, "merged")))
    names = {line.partition(": ")[2] for line in output.splitlines()}
    assert names == {"parity-ruled:1", *plain}
    assert cat(engine, plain[0], "/hello.txt") == "hello\n"


def test_42_merging_keeps_owners(repository: PantsCheckout, engine: Engine) -> None:
    engine.docker("load", "-i", str(archive(repository, "merged")))
    stat = ["/usr/bin/busybox", "stat", "-c", "%a %u", "/etc/secrets/hello.txt"]
    assert engine.run("parity-ruled:1", *stat) == "400 7\n"


def test_43_merged_images_of_all_compressions(repository: PantsCheckout) -> None:
    for name in ("plain", "zstd"):
        (image,) = repository.report(f"app.parity/{name}")["references"]
        command = ("/bin/busybox", "cat", "/hello.txt")
        merged = archive(repository, "mixed")
        assert load_and_run_with_podman(merged, image, *command) == "hello\n"


def test_44_exported_root(repository: PantsCheckout) -> None:
    with tarfile.open(archive(repository, "root")) as root:
        member = root.getmember("etc/secrets/hello.txt")
        assert (member.mode, member.uid) == (0o400, 7)
        assert root.getmember("usr/bin/busybox").size > 1_000_000
        assert root.getmember("usr/bin/sh").linkname == "busybox"
        assert root.getmember("bin").linkname == "usr/bin"
