"""Series of canaries, a search and a write at each due instant."""

from __future__ import annotations

from runbooks.observe.exchange import Outcome
from runbooks.observe.ledger import Kind, Operation, Result
from runbooks.observe.windows import Yardstick

INTERVAL = 0.5
YARDSTICK = Yardstick(window_seconds=5.0, interval_seconds=INTERVAL, slow_seconds=0.2)


def canary(due: float, kind: Kind, result: Result, seconds: float | None = 0.01) -> Operation:
    good: Outcome = "right" if kind == "search" else "acknowledged"
    outcomes: dict[Result, Outcome | None] = {"good": good, "partial": "partial", "bad": "failed", "pending": None}
    done = None if seconds is None else due + seconds
    return Operation(0, kind, False, due, "a", None, outcomes[result], done)


def beats(count: int, bad: set[int] | None = None, result: Result = "bad") -> list[Operation]:
    """A search and a write at each due instant; those in `bad` fail."""
    found = []
    for beat in range(count):
        state: Result = result if bad and beat in bad else "good"
        found.append(canary(beat * INTERVAL, "search", state, 0.01 if state == "good" else None))
        found.append(canary(beat * INTERVAL, "upsert", "good", 0.03))
    return found
