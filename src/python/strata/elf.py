"""What machine an ELF file is for (elf(5), ``e_ident`` and ``e_machine``)."""

from __future__ import annotations

from typing import Dict, Mapping, NamedTuple, Tuple

from strata.platforms import Platform

#: How much of a file ``architecture_of`` wants, in bytes.
HEADER = 20
_MAGIC = b"\x7fELF"
_LITTLE = 1


class ElfMachine(NamedTuple):
    """``number`` is ``e_machine``."""

    number: int
    bits: int = 64
    little_endian: bool = True


#: By GOARCH.
ELF_MACHINES: Dict[str, ElfMachine] = {
    "386": ElfMachine(3, bits=32),
    "amd64": ElfMachine(62),
    "arm": ElfMachine(40, bits=32),
    "arm64": ElfMachine(183),
    "ppc64le": ElfMachine(21),
    "riscv64": ElfMachine(243),
    "s390x": ElfMachine(22, little_endian=False),
}
# Machines that run programs of an older one, too.
_ALSO: Dict[str, Tuple[str, ...]] = {"amd64": ("386",), "arm64": ("arm",)}


def architecture_of(header: bytes) -> str:
    """The GOARCH of the file that starts with ``header``; empty if it is no program of one."""
    if len(header) < HEADER or not header.startswith(_MAGIC):
        return ""
    little = header[5] == _LITTLE
    number = int.from_bytes(header[18:20], "little" if little else "big")
    bits = 64 if header[4] == 2 else 32
    wanted = ElfMachine(number, bits, little)
    return next((name for name, machine in ELF_MACHINES.items() if machine == wanted), "")


def misfit(programs: Mapping[str, str], platform: Platform) -> Tuple[str, str]:
    """Architecture and path of one of ``programs`` (paths by GOARCH), if there are some and none
    runs on ``platform``; else nothing. Something that holds programs for several is fine if the
    platform's are among them.
    """
    runs = (platform.architecture, *_ALSO.get(platform.architecture, ()))
    if not programs or set(runs) & set(programs):
        return "", ""
    return min(programs.items())
