"""Asks the fleet for every document of the ledger, at least at the last acknowledged position."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runbooks.drills.evidence import held, write_ops
from runbooks.drills.rpo import Audit, Fate, Losses, audit, losses
from runbooks.ledger import Ledger
from service.client import ServiceError, Unanswered

BATCH = 1000
PASSES = 3
POLL_SECONDS = 0.5
MISSING = (Fate.LOST, Fate.STALE, Fate.RESURRECTED, Fate.PHANTOM)


class AuditError(Exception):
    """The fleet did not say what it holds."""


class HasLookup(Protocol):
    """What is needed of a client."""

    def lookup(self, source_ids: Sequence[str], min_position: int | None = None) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Audited:
    """The worst of several passes: each may be answered by another replica. `agree` when all were alike."""

    losses: Losses
    examples: tuple[str, ...]
    passes: int
    agree: bool


def audit_ledger(client: HasLookup, ledger: Ledger, t0: float, within_seconds: float) -> Audited:
    """Judge all writes of a ledger. Raises AuditError when the fleet does not answer in time."""
    deadline = time.monotonic() + within_seconds
    operations = write_ops(ledger.writes)
    source_ids = sorted({operation.source_id for operation in operations})
    position = max((op.order[0] for op in operations if op.order), default=None)
    passes = [audit(operations, held(_lookup(client, source_ids, position, deadline))) for _ in range(PASSES)]
    worst = max(passes, key=_severity)
    return Audited(
        losses=losses(operations, worst, t0, ledger.started, ledger.interval_seconds),
        examples=_examples(worst, {op.number: op.source_id for op in operations}),
        passes=PASSES,
        agree=all(found.fates == worst.fates for found in passes),
    )


def _severity(found: Audit) -> int:
    return sum(fate in MISSING for fate in found.fates.values()) + len(found.phantoms)


def _examples(found: Audit, source_ids: Mapping[int, str]) -> tuple[str, ...]:
    """The first few operations that did not survive, for a person to look up."""
    bad = [(number, fate) for number, fate in sorted(found.fates.items()) if fate in MISSING]
    return tuple(f"{fate.value}: operation {number}, {source_ids[number]}" for number, fate in bad[:5])


def _lookup(client: HasLookup, source_ids: list[str], position: int | None, deadline: float) -> dict[str, Any]:
    documents: dict[str, Any] = {}
    for start in range(0, len(source_ids), BATCH):
        documents |= _lookup_batch(client, source_ids[start : start + BATCH], position, deadline)
    return documents


def _lookup_batch(client: HasLookup, batch: list[str], position: int | None, deadline: float) -> dict[str, Any]:
    while True:
        try:
            return dict(client.lookup(batch, position)["documents"])
        except (ServiceError, Unanswered) as error:
            pause_seconds = min(POLL_SECONDS, deadline - time.monotonic())
            if pause_seconds <= 0:
                raise AuditError(f"the fleet did not say what it holds at position {position}: {error}") from error
        time.sleep(pause_seconds)
