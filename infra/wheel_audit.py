"""What a compiled wheel asks of the machine that loads it: its glibc, its libraries, its instructions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GLIBC = (2, 34)  # Amazon Linux 2023's, for as long as that release lives
LEVEL = "x86-64-v3"
# AVX-512 is a register of 512 bits, one of the upper sixteen at any width, or a mask.
_ABOVE_LEVEL = re.compile(r"%zmm\d|%[xy]mm(?:1[6-9]|2\d|3[01])\b|%k[0-7]\b")
_TAG = re.compile(r"manylinux_(\d+)_(\d+)_")
_GLIBC_SYMBOL = re.compile(r"GLIBC_(\d+)\.(\d+)")


class AuditError(Exception):
    """A wheel that Amazon Linux 2023 or a machine of the level could not load; the message says why and what to do."""


@dataclass(frozen=True)
class Report:
    """What auditwheel says of a wheel, as far as it decides."""

    wheel: str
    tag: str
    symbols: Mapping[str, list[str]]
    external: tuple[str, ...]


def report(text: str) -> Report:
    """Auditwheel's JSON. Raises KeyError or ValueError where it is none."""
    found: dict[str, Any] = json.loads(text)
    libraries = tuple(sorted(name for by_tag in found["external_libs"].values() for name in by_tag))
    return Report(found["wheel"], found["overall_tag"], found["versioned_symbols"], libraries)


def check_glibc(found: Report) -> None:
    """Raises AuditError for a wheel that needs a newer glibc or libstdc++, or libraries it doesn't bring."""
    floor = _TAG.match(found.tag)
    if floor is not None and (int(floor[1]), int(floor[2])) <= GLIBC:
        return
    limit = ".".join(map(str, GLIBC))
    raise AuditError(
        f"{found.wheel} runs on {found.tag}, and Amazon Linux 2023 has glibc {limit}: {_reason(found)}. "
        "Compile it where glibc and compiler are as old as there: make artifact in an amazonlinux:2023 container."
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
    Raises AuditError unless the code is of x86-64-v3: 256-bit vectors and fused multiply-add, nothing of AVX-512.

    `disassembly` is what objdump --disassemble prints, in AT&T syntax.
    """
    for needed, kind in (("%ymm", "256-bit vectors (AVX2)"), ("vfmadd", "fused multiply-add")):
        if needed not in disassembly:
            raise AuditError(f"{name} has no {kind}: it wasn't compiled for {LEVEL}. Is CXXFLAGS overridden?")
    if above := _ABOVE_LEVEL.search(disassembly):
        raise AuditError(
            f"{name} uses {above[0]}, which is AVX-512: it was compiled for the machine here, not for {LEVEL}. "
            "Was -march=native in CFLAGS, or a wheel taken from pip's cache?"
        )
