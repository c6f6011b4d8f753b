"""From the observer's ledger to what the measurements take: canaries and write operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from runbooks.drills.measure import Canary, CanaryResult
from runbooks.drills.rpo import Held, WriteOp
from runbooks.ledger import Ledger, Operation

GOOD = ("right", "acknowledged")
HOLE_INTERVALS = 1.5


def canaries(operations: Sequence[Operation]) -> list[Canary]:
    """The ledger's canaries for measure, in the order of their due instants."""
    return [_canary(operation) for operation in operations]


def _canary(operation: Operation) -> Canary:
    answered = operation.done is not None and operation.outcome in (*GOOD, "partial", "wrong")
    seconds = operation.done - operation.due if answered and operation.done is not None else None
    return Canary(operation.due, "search" if operation.kind == "search" else "write", _result(operation), seconds)


def _result(operation: Operation) -> CanaryResult:
    if operation.outcome is None:
        return "pending"
    if operation.outcome in GOOD:
        return "good"
    return "partial" if operation.outcome == "partial" else "bad"


def write_ops(operations: Sequence[Operation]) -> list[WriteOp]:
    """The ledger's writes for the audit; one without an outcome is unknown."""
    return [_write_op(operation) for operation in operations]


def _write_op(operation: Operation) -> WriteOp:
    acknowledged = operation.outcome == "acknowledged"
    order = (operation.position or 0, operation.item or 0) if acknowledged else None
    return WriteOp(
        number=operation.number,
        source_id=operation.source_id,
        kind="delete" if operation.kind == "delete" else "upsert",
        content_hash=operation.content_hash,
        outcome=cast(Any, operation.outcome or "unknown"),
        order=order,
        acknowledged_at=operation.done if acknowledged else None,
    )


def held(documents: Mapping[str, Any]) -> dict[str, Held | None]:
    """A look-up's answer for the audit."""
    return {source_id: None if found is None else _held(found) for source_id, found in documents.items()}


def _held(found: Mapping[str, Any]) -> Held:
    return Held((int(found["position"]), int(found["item"])), str(found["content_hash"]))


def hole(ledger: Ledger, until: float) -> str:
    """Where the observer was silent between its first canary and `until`, empty when it never was."""
    dues = sorted({operation.due for operation in ledger.canaries if operation.due < until})
    if not dues:
        return "the observer sent no canary"
    limit_seconds = HOLE_INTERVALS * ledger.interval_seconds
    for before, after in pairwise([*dues, until]):
        if after - before > limit_seconds:
            return f"the observer was silent for {after - before:.2f} s"
    return ""


def healthy_streak(found: Sequence[Canary]) -> int:
    """How many of the newest canaries in a row were good; what is still in flight at the end is left out."""
    streak = 0
    for canary in reversed(found):
        if canary.result == "pending" and not streak:
            continue
        if canary.result != "good":
            return streak
        streak += 1
    return streak
