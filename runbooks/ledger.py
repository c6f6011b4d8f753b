"""The observer's ledger: every operation written down before it is sent and after it ended.

Instants are seconds of the machine's one monotonic clock, shared by all processes of the machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runbooks.jsonlines import Appender, read_records

Kind = Literal["search", "upsert", "delete"]
Outcome = Literal["right", "partial", "wrong", "acknowledged", "failed", "unknown"]


@dataclass(frozen=True)
class Operation:
    """One operation. `outcome` is None while nothing is known: in flight, or the observer died."""

    number: int
    kind: Kind
    beacon: bool
    due: float
    source_id: str
    content_hash: str | None
    outcome: Outcome | None
    done: float | None
    status: int | None
    position: int | None
    item: int | None
    detail: str


@dataclass(frozen=True)
class Ledger:
    """A whole ledger as read. `ready` is when the beacons were all found, `stopped` when it was closed."""

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
        """The operations that were due at an instant, in that order; planting beacons is none."""
        return tuple(sorted((o for o in self.operations if not o.beacon), key=lambda o: (o.due, o.number)))

    @property
    def writes(self) -> tuple[Operation, ...]:
        return tuple(operation for operation in self.operations if operation.kind != "search")


class LedgerWriter:
    """Writes a ledger; each call returns when the record is on disk. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lines = Appender(path)

    def start(self, name: str, endpoint: str, interval_seconds: float) -> None:
        self._write("start", name=name, endpoint=endpoint, interval_seconds=interval_seconds, wall=time.time())

    def ready(self) -> None:
        self._write("ready")

    def intent(
        self,
        number: int,
        kind: Kind,
        due: float,
        source_id: str,
        content_hash: str | None,
        beacon: bool = False,
    ) -> None:
        self._write(
            "intent",
            number=number,
            kind=kind,
            due=round(due, 6),
            source_id=source_id,
            content_hash=content_hash,
            beacon=beacon,
        )

    def outcome(
        self,
        number: int,
        outcome: Outcome,
        status: int,
        detail: str,
        done: float,
        position: int | None = None,
        item: int | None = None,
    ) -> None:
        self._write(
            "outcome",
            number=number,
            outcome=outcome,
            done=round(done, 6),
            status=status,
            position=position,
            item=item,
            detail=detail,
        )

    def stop(self, reason: str) -> None:
        self._write("stop", reason=reason)

    def close(self) -> None:
        self._lines.close()

    def _write(self, record: str, **values: Any) -> None:
        self._lines.append({"record": record, "at": round(time.monotonic(), 6), **values})


def read_ledger(path: Path) -> Ledger | None:
    """The ledger as it stands now, also while it is being written; None before its first record.

    Raises DamagedFileError when a line in its middle can't be read.
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
        number=intent["number"],
        kind=intent["kind"],
        beacon=intent["beacon"],
        due=intent["due"],
        source_id=intent["source_id"],
        content_hash=intent["content_hash"],
        outcome=outcome.get("outcome"),
        done=outcome.get("done"),
        status=outcome.get("status"),
        position=outcome.get("position"),
        item=outcome.get("item"),
        detail=outcome.get("detail", ""),
    )
