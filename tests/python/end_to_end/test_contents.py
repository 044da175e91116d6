"""What contents may be: every kind of wheel, and what is no Python, in images that run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

import pytest

from end_to_end.odd_wheels import write_odd_wheels
from end_to_end.pants_checkout import PantsCheckout
from end_to_end.roots import in_root, unpack
from end_to_end.runtimes import run
from end_to_end.tools import require, require_root, unavailable

_PYTHON = """
python_requirements(name="requirements", resolve="odd")

python_sources(
    resolve="odd",
    interpreter_constraints=["CPython==3.11.*"],
    dependencies=[":requirements", ":resource", ":file"],
)

resource(name="resource", source="resource.txt")
file(name="file", source="file.txt")

# No complete_platforms: source distributions are built by a Python of the image's version.
pex_binary(
    name="main",
    entry_point="main.py:main",
    resolve="odd",
    interpreter_constraints=["CPython==3.11.*"],
)

layered_image(name="image", contents=[":main", "app:os"], config={"Entrypoint": [":main"]})
"""
_MAIN = """
import json
import pkgutil
import sys
from importlib import metadata
from pathlib import Path


def main():
    import from_pth
    import nsnative.one
    import nsnative.two
    import nspkgutil.one
    import nspkgutil.two
    import nspth.one
    import nspth.two
    import odd_pure
    import odd_sdist

    header = f"include/site/python{sys.version_info[0]}.{sys.version_info[1]}/odd-tools/odd.h"
    names = ("ns-one", "ns-two", "odd-sdist", "odd-tools")
    print(json.dumps({
        "values": [
            module.VALUE
            for module in (from_pth, odd_pure, odd_sdist, nsnative.one, nsnative.two,
                           nspkgutil.one, nspkgutil.two, nspth.one, nspth.two)
        ],
        "data": Path(sys.prefix, "share/odd/data.txt").read_text(),
        "header": Path(sys.prefix, header).exists(),
        "resource": pkgutil.get_data("odd", "resource.txt").decode(),
        "file": Path(sys.prefix, "lib/python3.11/site-packages/app/odd/file.txt").read_text(),
        "versions": [metadata.version(name) for name in names],
        # Every file of a wheel is where its RECORD says.
        "missing": [str(f) for n in names for f in metadata.files(n) if not f.locate().exists()],
    }))
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    checkout = PantsCheckout(tmp_path_factory.mktemp("contents") / "checkout")
    yield checkout
    checkout.stop()


def test_wheels_of_every_kind(repository: PantsCheckout, tmp_path: Path) -> None:
    require_root()
    require("chroot", "python3.11")
    lock = write_odd_wheels(tmp_path / "wheels")
    files = {
        "odd.lock": lock,
        "requirements.txt": "".join(f"{line.split()[0]}\n" for line in lock.splitlines()),
        "BUILD": _PYTHON,
        "main.py": _MAIN,
        "__init__.py": "",
        "resource.txt": "a resource",
        "file.txt": "a file",
    }
    for name, text in files.items():
        repository.write(f"app/odd/{name}", text)
    repository.run(
        "package",
        "app/odd:image",
        "--python-resolves=+{'odd': 'app/odd/odd.lock'}",
        f"--python-repos-find-links=['{(tmp_path / 'wheels').as_uri()}']",
    )
    root = unpack(repository.archive("app.odd/image"), tmp_path)
    programs = "/opt/app/main/bin"
    (line,) = in_root(root, f"{programs}/main")
    assert json.loads(line) == {
        "values": [
            "from a .pth",
            "pure",
            "built from source",
            *("native one", "native two", "pkgutil one", "pkgutil two", "pth one", "pth two"),
        ],
        "data": "odd data\n",
        "header": True,
        "resource": "a resource",
        "file": "a file",
        "versions": ["1.0"] * 4,
        "missing": [],
    }
    for script in ("odd-console", "odd-gui", "odd-script"):
        assert in_root(root, f"{programs}/{script}") == ["odd"], script
    shell = root / programs.lstrip("/") / "odd-shell"
    assert shell.is_symlink()
    target = root / str(shell.readlink()).lstrip("/")
    assert target.read_text() == "#!/bin/sh\necho odd\n" and target.stat().st_mode & 0o111
    # The reference from the wheel that was built: what its metadata says.
    objects = repository.report("app.odd/image")["closure"]["objects"]
    assert "python:odd-tools" in objects["python:odd-sdist"]["references"]


_GO_FOLDER = "/usr/lib/go-1.19/bin"
_OTHERS = """
shell_sources(name="scripts", sources=["hello.sh"])
go_mod(name="mod")
go_package(name="package")
go_binary(name="program", main=":package")

layered_image(
    name="image",
    contents=[":program", ":scripts"],
    config={"Entrypoint": [":program"], "Env": {"SCRIPT": "{:scripts}"}},
)
"""
_GO = """package main

import "fmt"

func main() { fmt.Println("hello from Go") }
"""


def test_program_of_another_language_and_a_shell_script(
    repository: PantsCheckout, tmp_path: Path
) -> None:
    require_root()
    require("chroot", "skopeo")
    if not Path(_GO_FOLDER, "go").exists():
        # The Go backend of Pants 2.17 does not know the newest ones.
        unavailable("needs Go 1.19 (golang-1.19-go)")
    folder = "app/others"
    repository.write(f"{folder}/BUILD", _OTHERS)
    repository.write(f"{folder}/main.go", _GO)
    repository.write(f"{folder}/go.mod", "module example.com/hello\n\ngo 1.19\n")
    repository.write(f"{folder}/hello.sh", "#!/bin/sh\necho hello\n")
    (repository.root / folder / "hello.sh").chmod(0o755)
    repository.run(
        "package",
        f"{folder}:image",
        "--backend-packages=+['pants.backend.shell', 'pants.backend.experimental.go']",
        "--golang-cgo-enabled=False",
        f"--golang-go-search-paths=['{_GO_FOLDER}']",
    )
    archive = repository.archive("app.others/image")
    root = unpack(archive, tmp_path)
    configuration = json.loads(run("skopeo", "inspect", "--config", f"oci-archive:{archive}"))
    assert in_root(root, *configuration["config"]["Entrypoint"]) == ["hello from Go"]
    assert configuration["config"]["Env"] == [f"SCRIPT=/{folder}/hello.sh"]
    script = root / folder / "hello.sh"
    assert script.stat().st_mode & 0o777 == 0o755
