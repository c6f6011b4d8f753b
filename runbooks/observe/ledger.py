"""The observer's ledger: each operation is recorded before it is sent and after it ended.

Instants are seconds of the machine's monotonic clock, which all its processes share.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from runbooks.jsonlines import RecordWriter, read_records
from runbooks.observe.exchange import Outcome, Reply

Kind = Literal["search", "upsert", "delete"]
Result = Literal["good", "partial", "bad", "pending"]
GOOD = ("right", "acknowledged")
HOLE_INTERVALS = 1.5


@dataclass(frozen=True)
class Operation:
    """One operation. `outcome` is None while it is in flight, or if the observer died."""

    number: int
    kind: Kind
    beacon: bool
    due: float
    source_id: str
    content_hash: str | None
    outcome: Outcome | None = None
    done: float | None = None
    status: int | None = None
    position: int | None = None
    item: int | None = None
    detail: str = ""

    @property
    def order(self) -> tuple[int, int] | None:
        """Position and item of an acknowledged write, else None."""
        return (self.position or 0, self.item or 0) if self.outcome == "acknowledged" else None

    @property
    def acknowledged_at(self) -> float | None:
        return self.done if self.outcome == "acknowledged" else None

    @property
    def result(self) -> Result:
        if self.outcome is None:
            return "pending"
        if self.outcome in GOOD:
            return "good"
        return "partial" if self.outcome == "partial" else "bad"

    @property
    def response_seconds(self) -> float | None:
        """Seconds from the due instant to the answer; None without an answer."""
        answered = self.outcome in (*GOOD, "partial", "wrong")
        return self.done - self.due if answered and self.done is not None else None


@dataclass(frozen=True)
class Ledger:
    """A ledger as read. `ready` is the instant when all beacons were found, `stopped` when it was closed."""

    name: str
    endpoint: str
    interval_seconds: float
    started: float
    ready: float | None
    stopped: float | None
    reason: str
    operations: tuple[Operation, ...]

    @property
    def canaries(self) -> tuple[Operation, ...]:
        """The operations that were due at an instant, in that order, so without the planting of beacons."""
        return tuple(sorted((o for o in self.operations if not o.beacon), key=lambda o: (o.due, o.number)))

    @property
    def writes(self) -> tuple[Operation, ...]:
        return tuple(operation for operation in self.operations if operation.kind != "search")

    @property
    def source_ids(self) -> list[str]:
        """The documents that the observer wrote."""
        return sorted({write.source_id for write in self.writes})

    def hole(self, until: float) -> str:
        """Return a sentence on the first silence between the first canary and `until`, or an empty text."""
        dues = sorted({operation.due for operation in self.canaries if operation.due < until})
        if not dues:
            return "the observer sent no canary"
        for before, after in pairwise([*dues, until]):
            if after - before > HOLE_INTERVALS * self.interval_seconds:
                return f"the observer was silent for {after - before:.2f} s"
        return ""


class LedgerWriter(RecordWriter):
    """A ledger being written."""

    def start(self, name: str, endpoint: str, interval_seconds: float) -> None:
        self.write("start", name=name, endpoint=endpoint, interval_seconds=interval_seconds, wall=time.time())

    def ready(self) -> None:
        self.write("ready")

    def intent(
        self, number: int, kind: Kind, due: float, source_id: str, content_hash: str | None, beacon: bool = False
    ) -> None:
        values = {"source_id": source_id, "content_hash": content_hash, "beacon": beacon}
        self.write("intent", number=number, kind=kind, due=round(due, 6), **values)

    def outcome(self, number: int, reply: Reply) -> None:
        """Record a reply that has just come."""
        self.write("outcome", number=number, done=round(time.monotonic(), 6), **vars(reply))

    def stop(self, reason: str) -> None:
        self.write("stop", reason=reason)


def read_ledger(path: Path) -> Ledger | None:
    """Read a ledger, also while it is being written; return None before its first record.

    Raises DamagedFileError if a line in its middle can't be read.
    """
    records = read_records(path) if path.exists() else []
    if not records:
        return None
    start = records[0]
    last = {record["record"]: record for record in records}
    outcomes = {record["number"]: record for record in records if record["record"] == "outcome"}
    return Ledger(
        name=start["name"],
        endpoint=start["endpoint"],
        interval_seconds=start["interval_seconds"],
        started=start["at"],
        ready=last["ready"]["at"] if "ready" in last else None,
        stopped=last["stop"]["at"] if "stop" in last else None,
        reason=last["stop"]["reason"] if "stop" in last else "",
        operations=tuple(
            _operation(record, outcomes.get(record["number"], {})) for record in records if record["record"] == "intent"
        ),
    )


def _operation(intent: dict[str, Any], outcome: dict[str, Any]) -> Operation:
    return Operation(
        **{name: intent[name] for name in ("number", "kind", "beacon", "due", "source_id", "content_hash")},
        **{name: outcome[name] for name in ("outcome", "done", "status", "position", "item", "detail") if outcome},
    )
