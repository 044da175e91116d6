"""Small wheels and a source distribution with everything that packages may have, for tests."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Dict

_PKGUTIL = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
# As the setuptools of old wrote it for each part of a namespace.
_NAMESPACE_PTH = (
    "import sys, types, os; p = os.path.join(sys._getframe(1).f_locals['sitedir'], 'nspth'); "
    "m = sys.modules.setdefault('nspth', types.ModuleType('nspth')); "
    "mp = m.__dict__.setdefault('__path__', []); (p not in mp) and mp.append(p)\n"
)
_TOOLS = {
    "odd_tools/__init__.py": "def main():\n    print('odd')\n",
    "odd_tools.pth": "odd_extra\n",
    "odd_extra/from_pth.py": "VALUE = 'from a .pth'\n",
    "odd_tools-1.0.data/scripts/odd-script": "#!python\nimport odd_tools\nodd_tools.main()\n",
    "odd_tools-1.0.data/scripts/odd-shell": "#!/bin/sh\necho odd\n",
    "odd_tools-1.0.data/headers/odd.h": "/* odd */\n",
    "odd_tools-1.0.data/data/share/odd/data.txt": "odd data\n",
    "odd_tools-1.0.data/purelib/odd_pure.py": "VALUE = 'pure'\n",
}
_SCRIPTS = (
    "[console_scripts]\nodd-console = odd_tools:main\n[gui_scripts]\nodd-gui = odd_tools:main\n"
)

# Builds its wheel itself, so that no build backend has to be fetched: PEP 517, in-tree backend.
_BACKEND = """
import base64, hashlib, zipfile

FILES = {
    "odd_sdist.py": "VALUE = 'built from source'\\n",
    "odd_sdist-1.0.dist-info/METADATA":
        "Metadata-Version: 2.1\\nName: odd-sdist\\nVersion: 1.0\\nRequires-Dist: odd-tools\\n",
    "odd_sdist-1.0.dist-info/WHEEL":
        "Wheel-Version: 1.0\\nGenerator: odd\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "odd_sdist-1.0-py3-none-any.whl"
    rows = []
    with zipfile.ZipFile(wheel_directory + "/" + name, "w") as archive:
        for path, text in FILES.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
            rows.append("%s,sha256=%s,%d" % (path, digest.rstrip("="), len(text)))
        rows.append("odd_sdist-1.0.dist-info/RECORD,,")
        archive.writestr("odd_sdist-1.0.dist-info/RECORD", "\\n".join(rows) + "\\n")
    return name
"""


def write_odd_wheels(folder: Path) -> str:
    """Writes wheels and a source distribution into ``folder``; gives a lock of all of them."""
    folder.mkdir(parents=True)
    for part in ("one", "two"):
        _wheel(
            folder,
            f"ns_{part}",
            {
                f"nsnative/{part}.py": f"VALUE = 'native {part}'\n",
                "nspkgutil/__init__.py": _PKGUTIL,
                f"nspkgutil/{part}.py": f"VALUE = 'pkgutil {part}'\n",
                f"ns_{part}-nspkg.pth": _NAMESPACE_PTH,
                f"nspth/{part}.py": f"VALUE = 'pth {part}'\n",
            },
        )
    _wheel(folder, "odd_tools", _TOOLS, _SCRIPTS)
    _source_distribution(folder)
    return "".join(_locked(path) for path in sorted(folder.iterdir()))


def _locked(path: Path) -> str:
    name = path.name.split("-1.0")[0].replace("_", "-")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _wheel(folder: Path, name: str, files: Dict[str, str], entry_points: str = "") -> None:
    info = f"{name}-1.0.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry_points:
        content[f"{info}/entry_points.txt"] = entry_points
    rows = []
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, text in content.items():
            member = zipfile.ZipInfo(path)
            member.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            archive.writestr(member, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows.append(f"{path},sha256={digest.decode().rstrip('=')},{len(text)}")
        rows.append(f"{info}/RECORD,,")
        archive.writestr(f"{info}/RECORD", "\n".join(rows) + "\n")


def _source_distribution(folder: Path) -> None:
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: odd-sdist\nVersion: 1.0\n",
        "backend.py": _BACKEND,
        "pyproject.toml": (
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        ),
    }
    with tarfile.open(folder / "odd_sdist-1.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"odd_sdist-1.0/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
