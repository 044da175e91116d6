"""What dockerTools' own tests check, by number: loading, running, metadata and layers.

The numbers are those of the table in docs/dockertools.md, which says where each is tested.
Contents, commands and merging are in test_docker_tools_contents.py.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import pytest

from end_to_end.pants_checkout import PantsCheckout, sha256
from end_to_end.parity_images import (
    FOLDER,
    SHELL,
    Engine,
    archive,
    files_below,
    load_and_run_with_podman,
)
from end_to_end.runtimes import free_port, run
from end_to_end.tools import require
from registries.server import DockerRegistry

_MANY = 12
_BUILD = f"""
files(name="hello", sources=["hello.txt"])
files(name="other", sources=["other.txt"])
files(name="sub", sources=["sub/hello.txt"])
image_files(name="placed", files=[":hello"], destination="/srv")
image_files(name="placed-too", files=[":other"], destination="/srv")
image_directory(name="spool", path="/var/spool", mode="0700")
image_files(name="who", files=[":hello"], destination="/etc/who")
image_files(name="who-else", files=[":sub"], destination="/etc/who", strip_prefix="{FOLDER}/sub")

layered_image(
    name="layered",
    image_name="parity-layered",
    tags=["explicit"],
    contents=[{SHELL}, ":placed"],
    config={{"Cmd": ["/bin/sh", "-c", "echo it runs"]}},
)
layered_image(
    name="single",
    image_name="parity-single",
    contents=[{SHELL}, ":placed"],
    config={{"Cmd": ["/bin/sh", "-c", "echo it runs"]}},
    layering="single",
)
layered_image(
    name="prefixed",
    image_name="registry-1.example:5000/team/parity",
    tags=["1"],
    contents=[":placed"],
)
layered_image(name="upper", image_name="Parity/UPPER", tags=["Tag"], contents=[":placed"])
layered_image(name="derived", image_name="parity-derived", contents=[":placed"])
layered_image(name="now", image_name="parity-now", created="now", contents=[":placed"])
layered_image(
    name="dated",
    image_name="parity-dated",
    created="2001-02-03T04:05:06+01:00",
    contents=[":placed"],
)
layered_image(
    name="arm64",
    image_name="parity-arm64",
    architecture="arm64",
    variant="v8",
    contents=[":placed"],
)
layered_image(
    name="service",
    image_name="parity-service",
    contents=[{SHELL}, ":placed"],
    config={{
        "Entrypoint": ["/bin/busybox", "httpd", "-f", "-h", "/srv", "-p"],
        "Cmd": ["8080"],
        "ExposedPorts": ["8080/tcp"],
        "Volumes": ["/data"],
        "Healthcheck": {{
            "Test": ["CMD", "/bin/busybox", "test", "-e", "/srv/hello.txt"],
            "Interval": 1000000000,
        }},
    }},
)
layered_image(
    name="two", image_name="parity-two", max_layers=2, contents=[":placed", ":placed-too"]
)
layered_image(
    name="bulk",
    image_name="parity-bulk",
    max_layers=4,
    layering="popularity",
    contents=[{", ".join(f'":p{n}"' for n in range(_MANY))}],
)
layered_image(
    name="base",
    image_name="parity-base",
    contents=[{SHELL}, ":who"],
    layering="single",
    max_layers=2,
    config={{"Env": {{"SHARED": "base", "KEPT": "base"}}, "WorkingDir": "/etc"}},
    mtime="1999-01-01T00:00:00Z",
)
layered_image(
    name="same",
    image_name="parity-same",
    base=":base",
    contents=[{SHELL}],
    mtime="1999-01-01T00:00:00Z",
)
layered_image(
    name="middle",
    image_name="parity-middle",
    base=":base",
    max_layers=4,
    layering="popularity",
    # The shell is in the base too, and lies in the image once.
    contents=[{SHELL}, ":placed", ":placed-too", ":spool"],
    config={{"Env": ["ADDED=middle", "SHARED=middle"]}},
    mtime="1999-01-01T00:00:00Z",
)
layered_image(
    name="top",
    image_name="parity-top",
    base=":middle",
    contents=[":who-else"],
    layering="single",
    config={{
        "Cmd": ["/bin/sh", "-c", "busybox cat /etc/who/hello.txt; echo $SHARED $ADDED $KEPT"]
    }},
)
""" + "".join(
    f'files(name="f{n}", sources=["many/{n}.txt"])\n'
    f'image_files(name="p{n}", files=[":f{n}"], destination="/srv")\n'
    for n in range(_MANY)
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    checkout = PantsCheckout(tmp_path_factory.mktemp("parity") / "checkout", daemon=True)
    checkout.write(f"{FOLDER}/BUILD", _BUILD)
    checkout.write(f"{FOLDER}/hello.txt", "hello\n")
    checkout.write(f"{FOLDER}/other.txt", "other\n")
    checkout.write(f"{FOLDER}/sub/hello.txt", "changed by the top\n")
    for number in range(_MANY):
        checkout.write(f"{FOLDER}/many/{number}.txt", f"{number}\n")
    try:
        checkout.run("package", f"{FOLDER}::")
        yield checkout
    finally:
        checkout.stop()


def report(repository: PantsCheckout, name: str) -> Dict[str, object]:
    return repository.report(f"app.parity/{name}")


def digests(repository: PantsCheckout, name: str) -> List[str]:
    layers: List[Dict[str, str]] = repository.report(f"app.parity/{name}")["layers"]
    return [layer["digest"] for layer in layers]


@pytest.mark.parametrize("name", ["layered", "single"])
def test_01_loads_and_runs(repository: PantsCheckout, engine: Engine, name: str) -> None:
    image = engine.load(archive(repository, name))
    assert engine.run(image) == "it runs\n"


@pytest.mark.parametrize("name", ["layered", "single"])
def test_02_stream_is_the_packaged_image(
    repository: PantsCheckout, engine: Engine, name: str
) -> None:
    image = engine.load(archive(repository, name))
    packaged = engine.inspect(image)["Id"]
    engine.docker("rmi", image)
    assert engine.load_stream(repository, f"{FOLDER}:{name}") == image
    assert engine.inspect(image)["Id"] == packaged
    assert engine.run(image) == "it runs\n"


def test_03_prefix_of_a_registry_is_kept(repository: PantsCheckout, engine: Engine) -> None:
    name = "registry-1.example:5000/team/parity:1"
    assert engine.load(archive(repository, "prefixed")) == name
    engine.docker("rmi", name)
    assert engine.load_stream(repository, f"{FOLDER}:prefixed") == name


def test_03_streamed_under_another_name(repository: PantsCheckout, engine: Engine) -> None:
    renamed = (f"{FOLDER}:prefixed", "--", "--repo-tag", "localhost:5000/Other:2")
    assert engine.load_stream(repository, *renamed) == "localhost:5000/other:2"
    image = engine.load(archive(repository, "prefixed"))
    assert engine.inspect("localhost:5000/other:2")["Id"] == engine.inspect(image)["Id"]


def test_04_upper_case_is_lowered(repository: PantsCheckout, engine: Engine) -> None:
    assert engine.load(archive(repository, "upper")) == "parity/upper:Tag"


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("layering", ["stable", "single"])
def test_05_compressed_archives_load(
    repository: PantsCheckout, engine: Engine, compression: str, layering: str
) -> None:
    folder = f"{FOLDER}/{compression}{layering}"
    repository.write(f"{folder}/hello.txt", "hello\n")
    repository.write(
        f"{folder}/BUILD",
        'files(name="hello", sources=["hello.txt"])\n'
        f'layered_image(name="image", image_name="parity-5", tags=["1"], '
        f'contents=[{SHELL}, ":hello"], archive_compression="{compression}", '
        f'compression="none", layering="{layering}")\n',
    )
    repository.run("package", f"{folder}:image")
    suffix = {"none": "", "gzip": ".gz", "zstd": ".zst"}[compression]
    path = repository.root / "dist" / folder.replace("/", ".") / f"image.tar{suffix}"
    assert repository.stream("run", f"{folder}:image") == path.read_bytes()
    command = ["/bin/busybox", "cat", f"/{folder}/hello.txt"]
    if compression == "zstd":
        # Docker reads it from version 23 on.
        assert load_and_run_with_podman(path, "parity-5:1", *command) == "hello\n"
    else:
        assert engine.run(engine.load(path), *command) == "hello\n"


def test_06_older_overlay_driver_and_an_ordinary_user(
    repository: PantsCheckout, tmp_path: Path
) -> None:
    engine = Engine(tmp_path, "--storage-driver=overlay")
    try:
        image = engine.load(archive(repository, "layered"))
        user = ["-u", "1000:1000"]
        assert engine.run(image, "/bin/busybox", "id", "-u", options=user) == "1000\n"
        assert engine.run(image, options=user) == "it runs\n"
    finally:
        engine.stop()


def test_07_images_on_images_run(repository: PantsCheckout, engine: Engine) -> None:
    for name in ("middle", "top"):
        image = engine.load(archive(repository, name))
        assert engine.run(image, "/bin/busybox", "cat", "/srv/hello.txt") == "hello\n"


@pytest.fixture
def pulled(repository: PantsCheckout, tmp_path: Path) -> Iterator[Path]:
    """``middle``, pushed to a registry, pulled by its digest, as an archive of docker's."""
    require("skopeo")
    digest = repository.report("app.parity/middle")["digest"]
    source = f"oci-archive:{archive(repository, 'middle')}"
    with DockerRegistry(tmp_path / "registry") as registry:
        host = registry.host
        copy = ("skopeo", "copy", "--insecure-policy")
        run(*copy, "--dest-tls-verify=false", source, f"docker://{host}/team/middle:1")
        pulled = tmp_path / "pulled.tar"
        run(
            *copy,
            "--src-tls-verify=false",
            f"docker://{host}/team/middle@{digest}",
            f"docker-archive:{pulled}:pulled:1",
        )
    yield pulled


def test_08_pulled_by_digest_loads_and_runs(engine: Engine, pulled: Path) -> None:
    assert engine.run(engine.load(pulled), "/bin/busybox", "cat", "/srv/other.txt") == "other\n"


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_07_image_on_a_pulled_one(
    repository: PantsCheckout, engine: Engine, pulled: Path, tmp_path: Path, form: str
) -> None:
    folder = f"{FOLDER}/{form}base"
    repository.write(f"{folder}/hello.txt", "on top\n")
    target = repository.root / folder / "base.tar"
    if form == "docker":
        target.write_bytes(pulled.read_bytes())
    else:
        copy = ("skopeo", "copy", "--insecure-policy")
        run(*copy, f"docker-archive:{pulled}", f"oci-archive:{target}:1")
    repository.write(
        f"{folder}/BUILD",
        'file(name="pulled", source="base.tar")\n'
        'files(name="hello", sources=["hello.txt"])\n'
        'image_files(name="new", files=[":hello"], destination="/bin/new")\n'
        'layered_image(name="image", image_name="parity-pulled", base=":pulled", '
        'contents=[":new"], config={"Cmd": ["/bin/sh", "-c", "busybox cat /bin/new/hello.txt"]})\n',
    )
    repository.run("package", f"{folder}:image")
    path = repository.root / "dist" / folder.replace("/", ".") / "image.tar"
    image = engine.load(path)
    # /bin stays the link that it is in the base, or there would be no shell.
    assert engine.run(image) == "on top\n"
    assert "usr/bin/new/hello.txt" in files_below(path, "usr")


def test_09_service_and_its_configuration(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "service"))
    config = engine.inspect(image)["Config"]
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config["Volumes"] == {"/data": {}}
    port = free_port()
    # The engine of these tests has no bridge to publish ports on.
    started = engine.docker("run", "-d", "--network=host", image, str(port)).strip()
    try:
        deadline = time.monotonic() + 60
        while True:
            state = json.loads(engine.docker("inspect", started))[0]["State"]
            if state["Health"]["Status"] == "healthy":
                break
            assert state["Running"] and time.monotonic() < deadline, state
            time.sleep(0.2)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hello.txt", timeout=10) as answer:
            assert answer.read() == b"hello\n"
    finally:
        engine.docker("rm", "-f", "-v", started)


def test_10_dates(repository: PantsCheckout, engine: Engine) -> None:
    for name in ("layered", "single"):
        image = engine.load(archive(repository, name))
        assert engine.inspect(image)["Created"] == "1970-01-01T00:00:01Z"
    image = engine.load(archive(repository, "now"))
    assert engine.inspect(image)["Created"] > "2024"


@pytest.mark.parametrize("name", ["layered", "single", "derived"])
def test_11_reported_names_are_those_after_loading(
    repository: PantsCheckout, engine: Engine, name: str
) -> None:
    found = repository.report(f"app.parity/{name}")
    assert [engine.load(archive(repository, name))] == found["references"]
    if name != "layered":
        assert found["references"] == [f"parity-{name}:{found['digest'][7:39]}"]
        assert [engine.load_stream(repository, f"{FOLDER}:{name}")] == found["references"]


def test_12_architecture(repository: PantsCheckout, engine: Engine) -> None:
    found = engine.inspect(engine.load(archive(repository, "arm64")))
    assert (found["Architecture"], found["Variant"], found["Os"]) == ("arm64", "v8", "linux")


def test_12_image_for_another_architecture_runs_there(
    repository: PantsCheckout, tmp_path: Path
) -> None:
    require("qemu-aarch64")
    folder = f"{FOLDER}/cross"
    repository.write(
        f"{folder}/BUILD",
        'debian_packages(name="os", packages=["busybox-static"], lock="arm64.lock", '
        'architecture="arm64")\n'
        'image_bin_sh(name="sh", packages=":os")\n'
        'layered_image(name="image", architecture="arm64", contents=[":os", ":sh"])\n'
        'image_root(name="root", image=":image")\n',
    )
    repository.run("generate-debian-lockfiles", f"{folder}:os")
    repository.run("package", f"{folder}:root")
    root = repository.root / "dist" / folder.replace("/", ".") / "root.tar"
    with tarfile.open(root) as members:
        members.extract("usr/bin/busybox", tmp_path)
    output = run("qemu-aarch64", str(tmp_path / "usr/bin/busybox"), "uname", "-m")
    assert output == "aarch64\n"


def test_13_created_and_history(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "dated"))
    assert engine.inspect(image)["Created"] == "2001-02-03T03:05:06Z"
    rows = engine.history(image)
    assert [row["CreatedBy"] for row in rows] == ["strata"] * 2
    assert [row["Comment"] for row in rows] == ["customisation", "files:placed"]


def test_14_a_common_dependency_is_a_shared_layer(repository: PantsCheckout) -> None:
    assert set(digests(repository, "layered")) & set(digests(repository, "service"))


def test_15_two_layers_are_enough(repository: PantsCheckout, engine: Engine) -> None:
    assert len(digests(repository, "two")) == 2
    engine.load(archive(repository, "two"))
    assert files_below(archive(repository, "two"), "srv") == ["srv/hello.txt", "srv/other.txt"]


def test_16_a_layer_of_many_loses_nothing(repository: PantsCheckout) -> None:
    assert len(digests(repository, "bulk")) == 4
    expected = sorted(f"srv/many/{number}.txt" for number in range(_MANY))
    assert files_below(archive(repository, "bulk"), "srv") == expected


def test_17_layers_of_the_base_count(repository: PantsCheckout) -> None:
    assert len(digests(repository, "base")) == 2
    found = digests(repository, "middle")
    assert len(found) == len(set(found)) == 4


def test_18_layers_of_parents_stay_below(repository: PantsCheckout, engine: Engine) -> None:
    base, middle, top = (digests(repository, name) for name in ("base", "middle", "top"))
    assert middle[: len(base)] == base
    assert top[: len(middle)] == middle
    image = engine.load(archive(repository, "top"))
    # The last that writes a file wins.
    assert engine.run(image).splitlines()[0] == "changed by the top"
    # The histories of all three, the last one first.
    assert len(engine.history(image)) == len(top)


def _docker_archive(path: Path, layers: List[bytes], config: Dict[str, object]) -> None:
    from hashlib import sha256 as digest

    diff_ids = [f"sha256:{digest(layer).hexdigest()}" for layer in layers]
    files: List[Tuple[str, bytes]] = [
        (f"{number}/layer.tar", layer) for number, layer in enumerate(layers)
    ]
    described = {**config, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = [{"Config": "config.json", "Layers": [name for name, _ in files], "RepoTags": []}]
    files += [
        ("config.json", json.dumps(described).encode()),
        ("manifest.json", json.dumps(manifest).encode()),
    ]
    with tarfile.open(path, "w") as out:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))


def test_19_base_with_a_layer_twice(repository: PantsCheckout, engine: Engine) -> None:
    folder = f"{FOLDER}/twice"
    repository.write(f"{folder}/hello.txt", "hello\n")
    layers = []
    for name in ("a", "b"):
        text = io.BytesIO()
        with tarfile.open(fileobj=text, mode="w") as layer:
            member = tarfile.TarInfo("etc/which")
            member.size = 2
            layer.addfile(member, io.BytesIO(f"{name}\n".encode()))
        layers.append(text.getvalue())
    config = {"architecture": "amd64", "os": "linux", "config": {}, "history": []}
    one, other = layers
    _docker_archive(repository.root / folder / "base.tar", [one, other, one], config)
    repository.write(
        f"{folder}/BUILD",
        'file(name="base", source="base.tar")\n'
        'layered_image(name="image", image_name="parity-twice", base=":base", '
        f"contents=[{SHELL}])\n",
    )
    repository.run("package", f"{folder}:image")
    path = repository.root / "dist" / folder.replace("/", ".") / "image.tar"
    image = engine.load(path)
    assert engine.run(image, "/bin/busybox", "cat", "/etc/which") == "a\n"


def test_20_objects_of_the_base_are_not_repeated(repository: PantsCheckout, engine: Engine) -> None:
    found = repository.report("app.parity/middle")
    names = [member["name"] for layer in found["layers"] for member in layer["members"]]
    assert names.count("debian:busybox-static") == 1
    assert len(names) - names.count("customisation") == len(set(names) - {"customisation"})
    image = engine.load(archive(repository, "middle"))
    assert engine.run(image, "/bin/sh", "-c", "echo one shell") == "one shell\n"


def test_20_equal_layers_appear_once(repository: PantsCheckout) -> None:
    assert digests(repository, "same") == digests(repository, "base")


def test_40_environment_of_the_base(repository: PantsCheckout, engine: Engine) -> None:
    image = engine.load(archive(repository, "top"))
    config = engine.inspect(image)["Config"]
    assert config["Env"] == ["KEPT=base", "SHARED=middle", "ADDED=middle"]
    assert config["WorkingDir"] == "/etc"
    assert engine.run(image).splitlines()[1] == "middle middle base"


def test_streams_of_one_image_are_equal(repository: PantsCheckout) -> None:
    first = repository.stream("run", f"{FOLDER}:layered")
    assert first == archive(repository, "layered").read_bytes()
    path = repository.root / "again.tar"
    path.write_bytes(repository.stream("run", f"{FOLDER}:layered"))
    assert sha256(path) == sha256(archive(repository, "layered"))


def test_cancelled_stream_leaves_nothing_behind(repository: PantsCheckout) -> None:
    writer = subprocess.Popen(
        [str(repository.root / "pants"), "run", f"{FOLDER}:layered"],
        cwd=repository.root,
        env=repository.environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writer.stdout is not None and writer.stderr is not None
    assert len(writer.stdout.read(512)) == 512
    writer.stdout.close()
    message = writer.stderr.read().decode()
    assert writer.wait(timeout=120) != 0
    # Pants' own client may complain, but nothing of ours does.
    assert "strata/commands" not in message
    # And the next one is whole.
    assert (
        repository.stream("run", f"{FOLDER}:layered") == archive(repository, "layered").read_bytes()
    )
