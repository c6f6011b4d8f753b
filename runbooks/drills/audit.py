"""The audit of a ledger: the fleet is asked for every document, at the last acknowledged position or later."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbooks.drills.losses import Audit, Fate, Losses, StoredVersion, audit, losses
from runbooks.observe.ledger import Ledger
from service.client import Client, ServiceError, Unanswered
from vectorfleet.waiting import until

BATCH = 1000
PASSES = 3
POLL_SECONDS = 0.5
MISSING = (Fate.LOST, Fate.STALE, Fate.RESURRECTED, Fate.PHANTOM)


class AuditError(Exception):
    """The fleet did not return its documents."""


@dataclass(frozen=True)
class AuditReport:
    """The worst of several passes, as each may be answered by another replica. `agree` if all were alike."""

    losses: Losses
    examples: tuple[str, ...]
    passes: int
    agree: bool


def audit_ledger(client: Client, ledger: Ledger, t0: float, within_seconds: float) -> AuditReport:
    """Judge all writes of a ledger. Raises AuditError if the fleet does not answer in time."""
    deadline = time.monotonic() + within_seconds
    writes = ledger.writes
    position = max((write.order[0] for write in writes if write.order), default=None)
    passes = [audit(writes, _lookup(client, ledger.source_ids, position, deadline)) for _ in range(PASSES)]
    worst = max(passes, key=_severity)
    return AuditReport(
        losses=losses(writes, worst, t0, ledger.started, ledger.interval_seconds),
        examples=_examples(worst, {write.number: write.source_id for write in writes}),
        passes=PASSES,
        agree=all(found.fates == worst.fates for found in passes),
    )


def _severity(found: Audit) -> int:
    return sum(fate in MISSING for fate in found.fates.values()) + len(found.phantoms)


def _examples(found: Audit, source_ids: Mapping[int, str]) -> tuple[str, ...]:
    """Describe the first few missing writes, for a person to look up."""
    bad = [(number, fate) for number, fate in sorted(found.fates.items()) if fate in MISSING]
    return tuple(f"{fate.value}: operation {number}, {source_ids[number]}" for number, fate in bad[:5])


def _lookup(
    client: Client, source_ids: list[str], position: int | None, deadline: float
) -> dict[str, StoredVersion | None]:
    documents: dict[str, Any] = {}
    for start in range(0, len(source_ids), BATCH):
        documents |= _lookup_batch(client, source_ids[start : start + BATCH], position, deadline)
    return {source_id: None if found is None else _version(found) for source_id, found in documents.items()}


def _version(found: Mapping[str, Any]) -> StoredVersion:
    return StoredVersion((int(found["position"]), int(found["item"])), str(found["content_hash"]))


def _lookup_batch(client: Client, batch: list[str], position: int | None, deadline: float) -> dict[str, Any]:
    failure: Exception | None = None

    def look() -> Mapping[str, Any] | None:
        nonlocal failure
        try:
            return client.lookup(batch, position)
        except (ServiceError, Unanswered) as error:
            failure = error
            return None

    answer = until(look, deadline - time.monotonic(), POLL_SECONDS)
    if answer is None:
        raise AuditError(f"the fleet did not return its documents at position {position}: {failure}") from failure
    return dict(answer["documents"])
