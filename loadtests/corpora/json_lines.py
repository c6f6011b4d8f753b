"""Files of JSON lines, and vectors as such files give them."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from loadtests.errors import LoadTestError

Entry = TypeVar("Entry")


def lines_of(path: Path | str, error: type[LoadTestError]) -> list[tuple[str, str]]:
    """Return the lines that are not blank, each with its place: "guide.jsonl, line 3". Raise `error`."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path} cannot be read: {problem}.") from problem
    return [(f"{path}, line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]


def parse_line(place: str, line: str, kind: type[Entry], error: type[LoadTestError]) -> Entry:
    """Return a line as a struct, whose types say what is allowed. Raise `error`, which names the place."""
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.ValidationError as problem:
        members: Any = getattr(kind, "__struct_fields__", ("members",))
        raise error(f"{place}: {problem}. A line may have {', '.join(members)}.") from problem
    except msgspec.DecodeError as problem:
        raise error(f"{place} is not JSON: {problem}.") from problem


def vector_bytes(given: str | list[float]) -> bytes:
    """Return numbers or base64 as little-endian float32; ValueError says what is wrong."""
    if not isinstance(given, str):
        return np.asarray(given, "<f4").tobytes()
    try:
        found = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"is not valid base64: {error}") from error
    if len(found) % 4:
        raise ValueError(f"has {len(found)} bytes; a float32 has 4")
    return found
