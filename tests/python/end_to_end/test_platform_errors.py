"""What is not there for a platform is named: target, field and the way out."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Tuple

import pytest

from end_to_end.pants_checkout import PantsCheckout, failure
from strata.namespace.foreign import probe
from strata.platforms import MACHINES, Platform

_CONSTRAINTS = 'interpreter_constraints=["CPython>=3.9,<3.13"]'
_BINARY = f"""
python_sources(resolve="app", {_CONSTRAINTS})
pex_binary(name="p", entry_point="p.py", resolve="app", {_CONSTRAINTS},
           complete_platforms=["app:platform"{{more}}])
"""
_INTERPRETER = 'interpreter="/usr/bin/python3.11 3.11.2"'
_DEB = b"not read before anything is wrong"
_LOCK = f"""\
format = 1
architecture = "arm64"
suites = ["bookworm"]
components = ["main"]
requested = ["python3.11-minimal"]

[[package]]
name = "python3.11-minimal"
version = "3.11.2-6"
architecture = "arm64"
suite = "bookworm"
path = "python.deb"
size = {len(_DEB)}
sha256 = "{hashlib.sha256(_DEB).hexdigest()}"
installed_size = 4
depends = []
"""
#: An architecture that this machine is not.
_FOREIGN = "arm64" if os.uname().machine != MACHINES["arm64"] else "amd64"


def test_no_complete_platform(repository: PantsCheckout) -> None:
    build = _BINARY.format(more="") + (
        f'layered_image(name="image", architectures=["amd64", "arm64"], contents=[":p"], '
        f"{_INTERPRETER})\n"
    )
    output = failure(repository, "app/none", build, **{"p.py": "print(1)\n"})
    assert "`complete_platforms` of app/none:p: none of its files is for Linux on aarch64" in output
    assert "(they are for x86_64); add one" in output


def test_wheel_that_one_platform_lacks(repository: PantsCheckout) -> None:
    """MarkupSafe has no wheel for s390x, which Debian and Python have."""
    platform = (repository.root / "app/debian12_python311_aarch64.json").read_text()
    build = _BINARY.format(more=', ":s390x"') + (
        'python_requirement(name="markupsafe", requirements=["markupsafe==3.0.4"], '
        'resolve="app")\n'
        'file(name="s390x", source="s390x.json")\n'
        f'layered_image(name="image", architectures=["amd64", "s390x"], contents=[":p"], '
        f"{_INTERPRETER})\n"
    )
    files = {"p.py": "import markupsafe\n", "s390x.json": platform.replace("aarch64", "s390x")}
    output = failure(repository, "app/wheel", build, **files)
    assert "`complete_platforms` of app/wheel:p: its wheels cannot be resolved for" in output
    assert "CPython 3.11 on Linux s390x, which the image is for" in output
    assert "markupsafe" in output.lower()
    assert "choose another version, or leave the architecture out of the image" in output


def test_lock_without_the_architecture(repository: PantsCheckout) -> None:
    build = 'layered_image(name="image", architectures=["amd64", "riscv64"], contents=["app:os"])\n'
    output = failure(repository, "e/lock", build)
    assert "`architectures` of app:os: its packages are for amd64, arm64" in output
    assert "the image is for riscv64" in output
    assert "`pants generate-debian-lockfiles app:os`" in output


def test_bytecode_without_an_interpreter_for_this_machine(
    repository: PantsCheckout, tmp_path: Path
) -> None:
    (tmp_path / "python.deb").write_bytes(_DEB)
    arm64 = MACHINES["arm64"]
    if os.uname().machine == arm64:
        pytest.skip("this machine is what the image is for")
    build = _BINARY.format(more=', "app:platform-arm64"') + (
        'debian_packages(name="os", packages=["python3.11-minimal"], lock="os.lock", '
        'architecture="arm64")\n'
        'layered_image(name="image", architecture="arm64", contents=[":p", ":os"])\n'
    )
    mirror = f"--layered-images-debian-mirrors={{'bookworm': ['file://{tmp_path}']}}"
    files = {"p.py": "print(1)\n", "os.lock": _LOCK}
    output = failure(repository, "app/bytecode", build, mirror, **files)
    assert "`bytecode` of app/bytecode:image: its bytecode is compiled by a Python 3.11.2" in output
    assert "has none for it" in output
    assert "`pants generate-debian-lockfiles app/bytecode:os`" in output
    assert "bytecode=False" in output


def test_base_without_the_architecture(repository: PantsCheckout) -> None:
    build = (
        'layered_image(name="base", architecture="amd64", contents=["app:tmp"])\n'
        'layered_image(name="image", architectures=["amd64", "arm64"], base=":base")\n'
    )
    output = failure(repository, "e/base", build)
    assert "`base` of e/base:image: it has no image for arm64 (e/base:base is for amd64)" in output
    assert "add that to its `architectures`" in output


def test_commands_without_an_emulator(repository: PantsCheckout) -> None:
    build = (
        f'layered_image(name="image", architectures=["{_FOREIGN}"], fakeroot_chroot=True, '
        'fakeroot_commands="true", contents=["app:tmp"])\n'
    )
    output = failure(repository, "e/commands", build)
    assert "`fakeroot_commands` of e/commands:image" in output
    assert f"the image is for {_FOREIGN}, and this machine" in output
    assert "binfmt_misc" in output


def test_commands_outside_of_the_image_need_no_emulator(repository: PantsCheckout) -> None:
    repository.write(
        "e/outside/BUILD",
        f'layered_image(name="image", architectures=["{_FOREIGN}"], '
        'extra_commands="echo text > file", contents=["app:tmp"])\n',
    )
    repository.run("package", "e/outside:image")
    report = repository.report("e.outside/image")
    assert list(report["platforms"]) == [_FOREIGN]


_TWO = """
layered_image(name="one", contents=["app:tmp"])
layered_image(name="two", contents=["app:users"])
"""


@pytest.mark.parametrize(
    ("build", "messages"),
    [
        (
            _TWO + 'image_index(name="image", images=[":one", ":two"])',
            ("`images` of e/index:image", "two of its images are for amd64"),
        ),
        (
            'image_index(name="image", images=["app:os"])',
            ("`images` of e/index:image", "app:os (a `debian_packages`) is no layered_image"),
        ),
        (
            'image_index(name="image", images=[])',
            ("e/index:image", "images"),
        ),
        (
            'layered_image(name="image", architectures=["x86_64"])',
            ("`architectures` field in target e/index:image", "'x86_64'", "amd64"),
        ),
        (
            'layered_image(name="image", architectures=["arm64", "arm64/v8"])',
            ("`architectures` field in target e/index:image", "each once"),
        ),
        (
            'layered_image(name="image", architectures=[])',
            ("`architectures` field in target e/index:image", "at least one"),
        ),
        (
            'debian_packages(name="image", packages=["x"], lock="x", architectures=[])',
            ("`architectures` field in target e/index:image", "at least one"),
        ),
        (
            'layered_image(name="both", architectures=["amd64", "arm64"], contents=["app:tmp"])\n'
            'image_root(name="image", image=":both")',
            ("`architecture` of e/index:image", "has images for amd64, arm64; name one"),
        ),
    ],
)
def test_bad_targets(repository: PantsCheckout, build: str, messages: Tuple[str, ...]) -> None:
    output = failure(repository, "e/index", build + "\n")
    for message in messages:
        assert message in output


def test_a_platform_file_that_is_none(repository: PantsCheckout) -> None:
    build = _BINARY.format(more=', ":broken"') + (
        'file(name="broken", source="broken.json")\n'
        f'layered_image(name="image", contents=[":p"], {_INTERPRETER})\n'
    )
    files = {"p.py": "print(1)\n", "broken.json": json.dumps({"compatible_tags": []})}
    output = failure(repository, "app/other", build, **files)
    assert "`complete_platforms` of app/other:p: app/other/broken.json is no complete" in output


_BACKEND = """
from dataclasses import dataclass

from pants.core.goals.package import (
    BuiltPackage, BuiltPackageArtifact, OutputPathField, PackageFieldSet,
)
from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.engine.rules import Get, collect_rules, rule
from pants.engine.target import COMMON_TARGET_FIELDS, SingleSourceField, Target
from pants.engine.unions import UnionRule


class ProgramSource(SingleSourceField):
    pass


class Program(Target):
    alias = "program"
    help = "A program that package takes as it is."
    core_fields = (*COMMON_TARGET_FIELDS, ProgramSource, OutputPathField)


@dataclass(frozen=True)
class ProgramFieldSet(PackageFieldSet):
    required_fields = (ProgramSource,)
    source: ProgramSource


@rule
async def package_program(field_set: ProgramFieldSet) -> BuiltPackage:
    sources = await Get(SourceFiles, SourceFilesRequest([field_set.source]))
    snapshot = sources.snapshot
    return BuiltPackage(snapshot.digest, (BuiltPackageArtifact(snapshot.files[0]),))


def rules():
    return [*collect_rules(), UnionRule(PackageFieldSet, ProgramFieldSet)]


def target_types():
    return [Program]
"""


def test_a_packaged_program_for_another_machine(repository: PantsCheckout) -> None:
    """One that other machines run is refused, and taken where it fits."""
    repository.write("backends/program_backend/register.py", _BACKEND)
    repository.write("backends/program_backend/__init__.py", "")
    target = repository.root / "e/program/tool"
    target.parent.mkdir(parents=True)
    target.write_bytes(probe(Platform("riscv64")))
    options = (
        f"--pythonpath=+['{repository.root}/backends']",
        "--backend-packages=+['program_backend']",
    )
    build = (
        'program(name="tool", source="tool")\n'
        'layered_image(name="image", architectures=["amd64", "riscv64"], contents=[":tool"])\n'
        'layered_image(name="fits", architecture="riscv64", contents=[":tool"])\n'
    )
    output = failure(repository, "e/program", build, *options)
    assert "`contents` of e/program:image: package:tool is for another machine" in output
    assert "is a program for riscv64, and the image is for amd64" in output
    assert "image_index" in output
    repository.run("package", "e/program:fits", *options)
