"""What an apply tells its caller, while it runs and at its end."""

from __future__ import annotations

from typing import Any

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step", tag_field="event"):
    """One resource that is done; `expected` is how many the last apply had, 0 when there was none."""

    verb: str
    type: str
    name: str
    id: str
    seconds: float
    done: int
    expected: int


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag="summary", tag_field="event"):
    """The result of a whole apply; `reads` and `writes` count API calls by whether they can change anything."""

    created: int = 0
    updated: int = 0
    replaced: int = 0
    deleted: int = 0
    retained: int = 0
    unchanged: int = 0
    reads: int = 0
    writes: int = 0
    seconds: float = 0.0
    outputs: dict[str, Any] = msgspec.field(default_factory=dict)


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure", tag_field="event"):
    """Why an apply ended early."""

    message: str


Event = Step | Summary | Failure
