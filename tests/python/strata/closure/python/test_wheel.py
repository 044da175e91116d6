"""Canonical wheels do not depend on who installed them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

import pytest

from strata.archive.entry import Entry
from strata.closure.manifest import ManifestFile
from strata.closure.python.wheel import CanonicalWheel, canonical_wheel, normalized
from strata.errors import StrataError

_DIST_INFO = "demo_pkg-1.0.dist-info"
_WHEEL: Dict[str, str] = {
    "demo/__init__.py": "def main(): print('demo')\n",
    "demo/data.txt": "data\n",
    "demo.pth": "# nothing\n",
    "demo_pkg-1.0.data/scripts/plain": "#!python\nimport demo\n",
    "demo_pkg-1.0.data/scripts/shell": "#!/bin/sh\necho hi\n",
    "demo_pkg-1.0.data/data/share/demo/x": "x\n",
    "demo_pkg-1.0.data/headers/demo.h": "/* */\n",
    "demo_pkg-1.0.data/platlib/extra.py": "EXTRA = 1\n",
    "demo_pkg-1.0.data/platlib/demo/plat.py": "PLAT = 1\n",
    "demo_pkg-1.0.data/data/data/deep": "deep\n",
    f"{_DIST_INFO}/METADATA": "Metadata-Version: 2.1\nName: demo-pkg\nVersion: 1.0\n",
    f"{_DIST_INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{_DIST_INFO}/entry_points.txt": (
        "[console_scripts]\ndemo = demo:main\ndemo-x = demo:main [fast]\n"
        "[gui_scripts]\ndemo-gui = demo:main\n[other]\nx = y\n"
    ),
}


# For the kind of ``site-packages`` that the wheel's root is for too: newer versions of Pex lose it.
_OF_THE_SAME_KIND = {"demo_pkg-1.0.data/purelib/demo/lost.py": "LOST = 1\n"}


def make_wheel(folder: Path, files: Mapping[str, str] = _WHEEL) -> Path:
    path = folder / "demo_pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        rows = []
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            mode = 0o755 if "/scripts/" in name else 0o644
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows.append(f"{name},sha256={digest.decode().rstrip('=')},{len(text)}")
        rows.append(f"{_DIST_INFO}/RECORD,,")
        archive.writestr(f"{_DIST_INFO}/RECORD", "\n".join(rows) + "\n")
    return path


def manifest(folder: Path) -> List[ManifestFile]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found.append(
                ManifestFile(
                    path.relative_to(folder).as_posix(),
                    hashlib.sha256(data).hexdigest(),
                    len(data),
                    os.access(path, os.X_OK),
                )
            )
        elif not any(path.iterdir()):
            found.append(ManifestFile(path.relative_to(folder).as_posix()))
    return found


def unpack(pex: Sequence[str], folder: Path, files: Mapping[str, str] = _WHEEL) -> Path:
    """The wheel as a real Pex unpacks it into a loose PEX."""
    make_wheel(folder, files)
    command = [sys.executable, *pex, "demo-pkg", "--no-index", f"--find-links={folder}"]
    command += ["--layout=loose", f"--output-file={folder / 'x.pex'}"]
    environment = {**os.environ, "PEX_ROOT": str(folder / "root")}
    subprocess.run(command, check=True, env=environment)
    (wheel,) = (folder / "x.pex" / ".deps").iterdir()
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(["-m", "pex"], tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def newer_pex() -> str:
    """The Pex of newer releases of Pants, which the test's target packages."""
    pex = Path("tests.python.strata.closure.python/newer-pex.pex")
    if not pex.exists():
        pytest.skip(f"needs {pex}; run the test with Pants")
    return str(pex)


@pytest.fixture(scope="module")
def newly_installed(tmp_path_factory: pytest.TempPathFactory, newer_pex: str) -> Path:
    return unpack([newer_pex], tmp_path_factory.mktemp("new-wheel"))


def canonical(folder: Path) -> CanonicalWheel:
    return canonical_wheel("python:demo-pkg", manifest(folder), folder, "3.11")


def by_path(wheel: CanonicalWheel) -> Dict[str, Entry]:
    return {entry.path: entry for entry in wheel.entries}


def test_everything_is_where_it_belongs(installed: Path) -> None:
    wheel = canonical(installed)
    site = "lib/python3.11/site-packages"
    assert set(by_path(wheel)) == {
        f"{site}/demo/__init__.py",
        f"{site}/demo/data.txt",
        f"{site}/demo/plat.py",
        f"{site}/demo.pth",
        f"{site}/extra.py",
        f"{site}/{_DIST_INFO}/METADATA",
        f"{site}/{_DIST_INFO}/WHEEL",
        f"{site}/{_DIST_INFO}/entry_points.txt",
        f"{site}/{_DIST_INFO}/RECORD",
        "bin/shell",
        "include/site/python3.11/demo-pkg/demo.h",
        "data/deep",
        "share/demo/x",
    }
    assert by_path(wheel)["bin/shell"].mode == 0o755
    assert by_path(wheel)[f"{site}/demo/__init__.py"].mode == 0o644


def test_scripts_are_known_by_name(installed: Path) -> None:
    wheel = canonical(installed)
    assert wheel.scripts == {"demo": "demo:main", "demo-gui": "demo:main", "demo-x": "demo:main"}
    assert wheel.script_files == {"plain": "import demo\n"}


def test_record_lists_every_file_with_its_hash(installed: Path) -> None:
    wheel = canonical(installed)
    entries = by_path(wheel)
    site = "lib/python3.11/site-packages"
    text = entries[f"{site}/{_DIST_INFO}/RECORD"].read().decode()
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(text))}
    assert list(rows) == sorted(rows)
    for path, (digest, size) in rows.items():
        entry = entries[os.path.normpath(f"{site}/{path}")]
        if path.endswith("/RECORD"):
            assert (digest, size) == ("", "")
            continue
        raw = base64.urlsafe_b64encode(hashlib.sha256(entry.read()).digest()).rstrip(b"=")
        assert (digest, size) == (f"sha256={raw.decode()}", str(entry.size))
    assert len(rows) == len(entries)


def test_what_other_installers_leave_behind_makes_no_difference(
    installed: Path, tmp_path: Path
) -> None:
    import shutil

    other = tmp_path / "wheel"
    shutil.copytree(installed, other)
    (other / _DIST_INFO / "INSTALLER").write_text("another\n")
    (other / _DIST_INFO / "RECORD").write_text("nonsense\n")
    (other / _DIST_INFO / "direct_url.json").write_text("{}")
    (other / "demo_pkg-1.0.pex-info").mkdir()
    (other / "demo_pkg-1.0.pex-info" / "original-whl-info.json").write_text("{}")
    (other / "demo" / "__pycache__").mkdir()
    (other / "demo" / "__pycache__" / "__init__.cpython-39.pyc").write_bytes(b"x")
    # Newer versions of Pex remove a wheel's own bytecode, and leave its folder.
    (other / "__pycache__").mkdir()
    (other / ".layout.json").write_text('{"stash_dir": ".prefix", "other": 1}')
    script = other / ".prefix" / "bin" / "demo"
    script.write_text("#!python\n# another body\n")
    one, two = canonical(installed), canonical(other)
    assert {p: (e.mode, e.read()) for p, e in by_path(one).items()} == {
        p: (e.mode, e.read()) for p, e in by_path(two).items()
    }
    assert (one.scripts, one.script_files) == (two.scripts, two.script_files)


def test_the_version_of_pex_makes_no_difference(installed: Path, newly_installed: Path) -> None:
    # Otherwise this would show nothing.
    assert (newly_installed / ".prefix/data/share/demo/x").exists()
    assert (installed / ".prefix/share/demo/x").exists()
    one, two = canonical(installed), canonical(newly_installed)
    assert {p: (e.mode, e.read()) for p, e in by_path(one).items()} == {
        p: (e.mode, e.read()) for p, e in by_path(two).items()
    }
    assert (one.scripts, one.script_files) == (two.scripts, two.script_files)
    assert one.hashes == two.hashes


def test_files_that_pex_loses_are_no_wheel_without_them(tmp_path: Path, newer_pex: str) -> None:
    files = {**_WHEEL, **_OF_THE_SAME_KIND}
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    complete = canonical(unpack(["-m", "pex"], tmp_path / "old", files))
    assert "lib/python3.11/site-packages/demo/lost.py" in by_path(complete)
    with pytest.raises(StrataError, match="python:demo-pkg: demo/lost.py is missing.*purelib"):
        canonical(unpack([newer_pex], tmp_path / "new", files))


def test_a_folder_that_is_no_wheel(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("")
    with pytest.raises(StrataError, match="expected one .dist-info directory.*found none"):
        canonical(tmp_path)


@pytest.mark.parametrize("name", ["Zope.Interface", "zope_interface", "zope--interface"])
def test_names_are_normalised(name: str) -> None:
    assert normalized(name) == "zope-interface"
