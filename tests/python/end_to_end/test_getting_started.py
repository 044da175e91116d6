"""The walk of ``docs/getting-started.md`` and the wheel that it uses."""

from __future__ import annotations

import email
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

import pytest

from end_to_end.pants_checkout import CHECKOUT, PantsCheckout, sha256
from end_to_end.runtimes import Docker

_PAGE = (CHECKOUT / "docs/getting-started.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ALTERNATIVE = "\n## From a checkout"
_WHEEL = "strata_layered_image-0.1.0-py3-none-any.whl"


class Block(NamedTuple):
    language: str
    text: str

    def as_script(self) -> str:
        """Commands as they stand; a file, named in its first line, is written."""
        if self.language == "sh":
            return self.text
        name, content = self.text.split("\n", 1)
        return f"cat > {name[2:]} <<'END OF FILE'\n{content}END OF FILE\n"


def blocks(text: str) -> List[Block]:
    return [Block(language, content) for language, content in _BLOCK.findall(text)]


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    started = Docker(tmp_path_factory.mktemp("docker"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def walked() -> Dict[str, str]:
    """Digests of the images, by the way that was walked."""
    return {}


@pytest.mark.parametrize("way", ["wheel", "checkout"])
def test_every_command_of_the_page(
    way: str, docker: Docker, tmp_path: Path, walked: Dict[str, str]
) -> None:
    strata = PantsCheckout(tmp_path / "strata")
    walk, _, rest = _PAGE.partition(_ALTERNATIVE)
    steps = blocks(walk)
    if way == "checkout":
        (alternative,) = blocks(rest)
        name = alternative.text.split("\n", 1)[0]
        replaced = [step.text.startswith(name) for step in steps].index(True)
        # Nothing of the wheel is left over.
        steps = [step for step in steps if "rules:dist" not in step.text]
        steps[replaced - 1] = alternative
        steps = [Block(s.language, re.sub("cp strata/dist.*\n", "", s.text)) for s in steps]
    script = [step.as_script() for step in steps]
    if way == "wheel":
        # From here on the engine and the rules are those of the plugin, or none.
        copied = next(i for i, text in enumerate(script) if "hello/wheels" in text)
        script.insert(copied + 1, "rm -r ../strata/rules ../strata/src/python/strata\n")
    process = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "".join(script)],
        cwd=tmp_path,
        env=strata.environment({"DOCKER_HOST": docker.host}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = process.stdout.decode(errors="replace")
    assert process.returncode == 0, output
    assert output.endswith("+ docker run --rm hello:latest\nhello from layers\n"), output
    report = json.loads((tmp_path / "hello/dist/image.json").read_text())
    walked[way] = report["digest"]
    assert len(set(walked.values())) == 1, walked


def test_the_wheel_has_the_plugin_and_the_engine_whole(tmp_path: Path) -> None:
    first = PantsCheckout(tmp_path / "first")
    first.run("package", "rules:dist")
    wheel = first.root / "dist" / _WHEEL
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        text = archive.read("strata_layered_image-0.1.0.dist-info/METADATA").decode()
        assert "strata_layered_image-0.1.0.dist-info/LICENSE" in archive.namelist()
    assert packed == set(sources(first.root))
    metadata = email.message_from_string(text)
    assert metadata["Name"] == "strata-layered-image"
    # Pants loads the plugin, so the plugin must not bring another Pants.
    assert metadata.get_all("Requires-Dist") is None

    # Another time, place, umask and process cache: the same bytes.
    second = PantsCheckout(tmp_path / "second")
    second.run(
        "package",
        "rules:dist",
        f"--process-execution-cache-namespace={tmp_path.name}",
        prefix=["sh", "-c", 'umask 077; exec "$0" "$@"'],
    )
    assert sha256(second.root / "dist" / _WHEEL) == sha256(wheel)


def sources(root: Path) -> Iterator[str]:
    """What the rules and the engine are made of, without what is only about building them."""
    for source_root, package in (("rules", "layered_image"), ("src/python", "strata")):
        for path in (root / source_root / package).rglob("*"):
            about_building = path.name == "BUILD" or path.suffix == ".in"
            if path.is_file() and not about_building and "__pycache__" not in path.parts:
                yield path.relative_to(root / source_root).as_posix()
