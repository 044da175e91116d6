"""Makes the virtual environment that Pants runs in, with the Pex command line beside it."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile

from pants_launcher import pip_install
from pants_launcher.errors import progress
from pants_launcher.interpreters import Interpreter
from pants_launcher.locations import Locations
from pants_launcher.native_client import install_native_client
from pants_launcher.pex_cli import build_pex_cli, platform_name
from pants_launcher.records import EnvironmentRecord, digest, locks_digest


def ensure_environment(locations: Locations, interpreter: Interpreter) -> EnvironmentRecord:
    """The environment for the locked requirements and this interpreter, made if need be.

    The caller holds the cache's lock. An environment stays in the folder it was made in, whose name
    is never used again; its record, written last, is what makes it one. So a set-up that was killed
    leaves a folder that nothing names, whatever its orphaned processes still write into it.
    """
    key = digest(locks_digest(locations), interpreter.version, platform_name())
    record_path = os.path.join(locations.environments, f"{key}.json")
    record = EnvironmentRecord.read(record_path)
    if record is not None:
        return record
    _remove_unusable(locations, key)
    os.makedirs(locations.environments, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=f"{key}.", dir=locations.environments)
    try:
        record = _make(locations, interpreter, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    record.write(record_path)
    progress("Pants is set up.")
    return record


def _make(locations: Locations, interpreter: Interpreter, folder: str) -> EnvironmentRecord:
    progress(f"setting Pants up with {interpreter.path} (CPython {interpreter.version}) ...")
    python = pip_install.make_virtual_environment(interpreter.path, os.path.join(folder, "venv"))
    pip_install.install(python, locations.requirements("pants"))
    progress("building the Pex command line ...")
    pex = build_pex_cli(python, locations.requirements("pex"), folder)
    pants = os.path.join(os.path.dirname(python), "pants")
    return EnvironmentRecord(
        python=python,
        pants=pants,
        client=install_native_client(python, pants, folder),
        interpreter=interpreter.path,
        pex=pex.path,
        pex_url_template=pex.url_template,
        pex_size=pex.size,
        pex_known_version=pex.known_version,
    )


def _remove_unusable(locations: Locations, key: str) -> None:
    for path in glob.glob(os.path.join(glob.escape(locations.environments), f"{key}.*")):
        if os.path.isdir(path):
            progress(f"removing the unfinished or broken set-up {path} ...")
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
