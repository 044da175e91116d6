"""The interpreter that compiles an image's bytecode.

It is the image's own, from the Debian packages of the machine that builds: an image for another
architecture takes the same version from the same lock, for the machine's architecture. What it
compiles is the same, byte for byte (``docs/multi-platform.md`` has the measurement), and so layers
of pure Python code are the same for all architectures, and one cache entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from pants.engine.addresses import Address
from pants.engine.fs import Digest
from pants.engine.platform import Platform as PantsPlatform
from pants.util.logging import LogLevel

from layered_image.closure.collect import ImageClosure
from layered_image.closure.debian import (
    LoadedLockRequest,
    LockedObjectsRequest,
    fetch_objects,
    load_lock,
)
from layered_image.engine import collect_rules, implicitly, rule
from layered_image.errors import LayeredImageError
from layered_image.images.layers import InterpreterRequest, unpack_interpreter
from layered_image.target_types import LayeredImageBytecodeField
from strata.closure.debian.interpreter import interpreter_of

#: Which Debian architecture has programs for which of Pants' platforms.
_NATIVE = {"linux_x86_64": "amd64", "linux_arm64": "arm64"}


@dataclass(frozen=True)
class CompilerRequest:
    image: Address
    closure: ImageClosure


@dataclass(frozen=True)
class BytecodeCompiler:
    """``digest`` is as of ``UnpackedInterpreter``, or None where no bytecode is compiled."""

    digest: Optional[Digest]


@rule(desc="Find an interpreter to compile bytecode with", level=LogLevel.DEBUG)
async def find_compiler(request: CompilerRequest, platform: PantsPlatform) -> BytecodeCompiler:
    """None for an interpreter that a base image brings, and on machines that run no programs of
    Linux."""
    interpreter, packages = request.closure.interpreter, request.closure.python_packages
    native = _NATIVE.get(platform.value)
    if interpreter is None or packages is None or native is None:
        return BytecodeCompiler(None)
    loaded = await load_lock(LoadedLockRequest(packages), **implicitly())
    lock = next((lock for lock in loaded.locks if lock.architecture == native), None)
    found = interpreter_of(lock) if lock is not None else None
    if lock is None or found is None or found[2] != interpreter.version:
        has = f"has Python {found[2]} for it" if found else "has none for it"
        raise LayeredImageError(
            request.image,
            f"its bytecode is compiled by a Python {interpreter.version} that runs on this machine "
            f"({native}), and the lock of {packages.address} {has}. Add it to the `architectures` "
            f"of {packages.address} and run `pants generate-debian-lockfiles {packages.address}`, "
            "or set bytecode=False, which makes every start of a container compile anew",
            LayeredImageBytecodeField.alias,
        )
    # The interpreter's package and those it refers to. What those refer to is for extension
    # modules, and compiling bytecode imports none.
    needed = next(package for package in lock.packages if package.name == found[0])
    fetched = await fetch_objects(
        LockedObjectsRequest(packages.address, lock, (found[0], *needed.depends)), **implicitly()
    )
    unpacked = await unpack_interpreter(
        InterpreterRequest(fetched.objects, interpreter.minor), **implicitly()
    )
    if unpacked.error:
        raise LayeredImageError(request.image, unpacked.error)
    return BytecodeCompiler(unpacked.digest)


def rules():
    return collect_rules()
