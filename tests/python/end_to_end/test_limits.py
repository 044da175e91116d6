"""What upstream does not test: the most layers, bases with too many, builds at the same time."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from end_to_end.pants_checkout import PantsCheckout, sha256
from end_to_end.parity_images import FOLDER, SHELL, Engine

_MOST = 125
_OBJECTS = 130
_BUILD = """
[files(name=f"f{n}", sources=[f"{n}.txt"]) for n in range(@OBJECTS)]
[image_files(name=f"p{n}", files=[f":f{n}"], destination="/srv") for n in range(@OBJECTS)]
layered_image(
    name="most",
    image_name="parity-most",
    contents=[@SHELL, *[f":p{n}" for n in range(@OBJECTS)]],
    max_layers=@MOST,
    layering="popularity",
    config={"Cmd": ["/bin/sh", "-c", "busybox ls /srv | busybox wc -l"]},
)
layered_image(name="base", contents=[":p0", ":p1"], layering="popularity")
layered_image(name="over", base=":base", contents=[":p2"], max_layers=3)
"""
for _name, _value in (("@OBJECTS", _OBJECTS), ("@SHELL", SHELL), ("@MOST", _MOST)):
    _BUILD = _BUILD.replace(_name, str(_value))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    checkout = PantsCheckout(tmp_path_factory.mktemp("limits") / "checkout", daemon=True)
    checkout.write(f"{FOLDER}/BUILD", _BUILD)
    for number in range(_OBJECTS):
        checkout.write(f"{FOLDER}/{number}.txt", f"{number}\n")
    yield checkout
    checkout.stop()


def test_docker_runs_the_most_layers_there_can_be(
    repository: PantsCheckout, engine: Engine
) -> None:
    repository.run("package", f"{FOLDER}:most")
    assert len(repository.report("app.parity/most")["layers"]) == _MOST
    image = engine.load(repository.archive("app.parity/most"))
    assert engine.run(image).strip() == str(_OBJECTS)


def test_base_with_too_many_layers(repository: PantsCheckout) -> None:
    result = repository.run("package", f"{FOLDER}:over", check=False)
    assert result.exit_code != 0
    assert f"{FOLDER}:over: max_layers=3 is too small: this image needs at least 5" in result.output
    assert "3 for the base image" in result.output
    assert "set max_layers=5 or more" in result.output


def test_builds_at_the_same_time(repository: PantsCheckout, tmp_path: Path) -> None:
    caches = tmp_path / "caches"
    others = [PantsCheckout(tmp_path / name, caches) for name in ("one", "two")]
    for other in others:
        other.write(f"{FOLDER}/BUILD", _BUILD)
        for number in range(_OBJECTS):
            other.write(f"{FOLDER}/{number}.txt", f"{number}\n")
    running = [
        subprocess.Popen(
            [str(other.root / "pants"), "package", f"{FOLDER}:base"],
            cwd=other.root,
            env=other.environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for other in others
    ]
    for process in running:
        output, _ = process.communicate()
        assert process.returncode == 0, output.decode()
    one, two = (sha256(other.archive("app.parity/base")) for other in others)
    assert one == two
