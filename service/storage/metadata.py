"""A document's metadata: a few named values, stored as canonical JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

Value: TypeAlias = str | int | float | bool
Metadata: TypeAlias = Mapping[str, Value]

MOST_FIELDS = 64
MOST_NAME = 64
MOST_BYTES = 4_096
LARGEST_NUMBER = 1 << 53  # beyond it two integers may share one float, and a filter would confuse them


def problem_with(metadata: Metadata) -> str:
    """Say why a document can't have this metadata; empty if it can."""
    if len(metadata) > MOST_FIELDS:
        return f"{len(metadata)} fields of metadata; at most {MOST_FIELDS} are allowed"
    for name, value in metadata.items():
        if not 1 <= len(name) <= MOST_NAME:
            return f"the name of a field has {len(name)} characters; allowed: 1 to {MOST_NAME}"
        if not isinstance(value, str | bool) and abs(value) > LARGEST_NUMBER:
            return f"metadata {name!r} is {value}; allowed: numbers from -2^53 to 2^53"
    size = len(to_text(metadata).encode())
    return f"{size} bytes of metadata; at most {MOST_BYTES} are allowed" if size > MOST_BYTES else ""


def to_text(metadata: Metadata) -> str:
    """Return canonical JSON, the same for the same values; empty for none."""
    return msgspec.json.encode(dict(metadata), order="deterministic").decode() if metadata else ""


def from_text(text: str) -> dict[str, Value]:
    """Parse what `to_text` wrote."""
    return msgspec.json.decode(text, type=dict[str, Value]) if text else {}
