"""Builds the plugin's wheel from both source roots, for `./pants package rules:dist`.

The wheel needs nothing but the Pants that loads it: what the rules import comes with Pants, and
what processes need is in locks that the wheel has. It does not require `pantsbuild.pants`, which
would bring another Pants.
"""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

_SOURCES = "../src/python"
_VERSION = re.search(r'__version__ = "(.+)"', Path(_SOURCES, "strata/__init__.py").read_text())
assert _VERSION is not None, "the engine says its version"

# Neither clock nor umask are in the wheel: equal sources give equal wheels.
os.environ["SOURCE_DATE_EPOCH"] = "315532800"
os.umask(0o022)
# It is copied with its mode, which a sandbox has from the umask.
os.chmod("LICENSE", 0o644)


class BuildWithUsualModes(build_py):
    """Data files would be copied with their modes too."""

    def copy_file(self, infile, outfile, preserve_mode=True, **options):
        return super().copy_file(infile, outfile, preserve_mode=False, **options)


setup(
    name="strata-layered-image",
    version=_VERSION[1],
    description="Reproducible layered container images for Pants",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.9",
    packages=[
        *find_packages(include=["layered_image*"]),
        *find_packages(_SOURCES, include=["strata*"]),
    ],
    package_dir={"strata": f"{_SOURCES}/strata"},
    # Whatever lies beside the modules: locks of libraries, assets of the page of layers.
    package_data={"": ["*.lock", "assets/*"]},
    cmdclass={"build_py": BuildWithUsualModes},
)
