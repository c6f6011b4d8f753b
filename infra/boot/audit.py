"""Requirements of a compiled wheel on its machine: glibc, libraries and CPU instructions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GLIBC = (2, 34)  # of Amazon Linux 2023, for the life of that release
LEVEL = "x86-64-v3"
# AVX-512 shows as a 512-bit register, one of the upper sixteen registers, or a mask register.
_ABOVE_LEVEL = re.compile(r"%zmm\d|%[xy]mm(?:1[6-9]|2\d|3[01])\b|%k[0-7]\b")
_TAG = re.compile(r"manylinux_(\d+)_(\d+)_")
_GLIBC_SYMBOL = re.compile(r"GLIBC_(\d+)\.(\d+)")


class AuditError(Exception):
    """Amazon Linux 2023, or a CPU of the level, cannot load a wheel; the message gives the reason and the remedy."""


@dataclass(frozen=True)
class Report:
    """The part of auditwheel's report that decides."""

    wheel: str
    tag: str
    symbols: Mapping[str, list[str]]
    external: tuple[str, ...]


def report(text: str) -> Report:
    """Parse auditwheel's JSON. Raises KeyError or ValueError."""
    found: dict[str, Any] = json.loads(text)
    libraries = tuple(sorted(name for by_tag in found["external_libs"].values() for name in by_tag))
    return Report(found["wheel"], found["overall_tag"], found["versioned_symbols"], libraries)


def check_glibc(found: Report) -> None:
    """Raise AuditError if a wheel needs a newer glibc or libstdc++, or libraries that it does not contain."""
    floor = _TAG.match(found.tag)
    if floor is not None and (int(floor[1]), int(floor[2])) <= GLIBC:
        return
    limit = ".".join(map(str, GLIBC))
    raise AuditError(
        f"{found.wheel} runs on {found.tag}, and Amazon Linux 2023 has glibc {limit}: {_reason(found)}. "
        "Compile it with that glibc and its compiler: run make artifact in an amazonlinux:2023 container."
    )


def _reason(found: Report) -> str:
    newer = sorted(
        name
        for names in found.symbols.values()
        for name in names
        if (symbol := _GLIBC_SYMBOL.fullmatch(name)) and (int(symbol[1]), int(symbol[2])) > GLIBC
    )
    if newer:
        return f"it uses {', '.join(newer)}"
    if found.external:
        return f"it needs {', '.join(found.external)} from the machine"
    return f"its symbols are too new ({', '.join(sorted(found.symbols))})"


def check_level(name: str, disassembly: str) -> None:
    """
    Raise AuditError unless the code is x86-64-v3: with 256-bit vectors and fused multiply-add, without AVX-512.

    `disassembly` is the output of objdump --disassemble, in AT&T syntax.
    """
    for needed, kind in (("%ymm", "256-bit vectors (AVX2)"), ("vfmadd", "fused multiply-add")):
        if needed not in disassembly:
            raise AuditError(f"{name} has no {kind}: it was not compiled for {LEVEL}. Is CXXFLAGS overridden?")
    if above := _ABOVE_LEVEL.search(disassembly):
        raise AuditError(
            f"{name} uses {above[0]}, which is AVX-512: it was compiled for this machine, not for {LEVEL}. "
            "Remove -march=native from CFLAGS, and wheels of it from pip's cache."
        )
