"""The loss: each write of the ledger against the documents that the service holds at the end.

A write whose outcome is unknown may have happened or not; both are legal, and it never counts as lost. An acknowledged
write that is missing always does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runbooks.observe.ledger import Operation


class Fate(StrEnum):
    """
    The fate of a write.

    KEPT: it is there, or a later write replaced it. LOST: its content is gone. STALE: an older version is in its place.
    RESURRECTED: a deleted document is back. PHANTOM: it was refused and is there. UNKNOWN: both are possible.
    REFUSED: it was not written, as the service said.
    """

    KEPT = "kept"
    LOST = "lost"
    STALE = "stale"
    RESURRECTED = "resurrected"
    PHANTOM = "phantom"
    UNKNOWN = "unknown"
    REFUSED = "refused"


@dataclass(frozen=True)
class StoredVersion:
    """The version of a document that the service holds."""

    order: tuple[int, int]
    content_hash: str


@dataclass(frozen=True)
class Audit:
    """The fate of every write, and the source_ids whose content no write of the ledger stored."""

    fates: Mapping[int, Fate]
    phantoms: tuple[str, ...]


@dataclass(frozen=True)
class Losses:
    """Counts by fate. `rpo_seconds` is None if no acknowledged write is missing."""

    kept: int
    lost: int
    stale: int
    resurrected: int
    phantom: int
    unknown: int
    refused: int
    rpo_seconds: float | None
    write_interval_seconds: float

    @property
    def rpo_count(self) -> int:
        return self.lost + self.stale

    @property
    def none(self) -> bool:
        """True if no document is lost, stale, resurrected or a phantom."""
        return not (self.lost or self.stale or self.resurrected or self.phantom)

    @property
    def sentence(self) -> str:
        """The RPO in words; a finite number of writes can't show that it is zero."""
        if self.rpo_seconds is None:
            return f"no acknowledged write lost: RPO ≤ {self.write_interval_seconds:g} s, the write interval"
        return f"acknowledged writes lost or stale: {self.rpo_count}, RPO {self.rpo_seconds:.2f} s"


def audit(operations: Iterable[Operation], held: Mapping[str, StoredVersion | None]) -> Audit:
    """Judge every write. Raises ValueError if `held` lacks a source_id."""
    by_source: dict[str, list[Operation]] = {}
    for operation in operations:
        by_source.setdefault(operation.source_id, []).append(operation)
    if missing := sorted(by_source.keys() - held.keys()):
        raise ValueError(f"the look-up did not answer for {len(missing)} documents, first {missing[0]}")
    fates: dict[int, Fate] = {}
    phantoms: list[str] = []
    for source_id, chain in by_source.items():
        judged, foreign = _judge(chain, held[source_id])
        fates.update(judged)
        if foreign:
            phantoms.append(source_id)
    return Audit(fates, tuple(phantoms))


def _judge(chain: Sequence[Operation], held: StoredVersion | None) -> tuple[dict[int, Fate], bool]:
    """Return the fates of one document's writes, and whether its content is a phantom."""
    fates = {op.number: _default(op) for op in chain}
    acked = sorted((op for op in chain if op.outcome == "acknowledged"), key=_order)
    if held is None:
        fates |= _judge_absent(chain, acked)
        return fates, False
    source = _source(chain, held)
    if source is None or source.outcome == "failed":
        if source is not None:
            fates[source.number] = Fate.PHANTOM
        if acked:
            fates[acked[-1].number] = _missing(acked[-1], Fate.LOST)
        return fates, True
    for op in acked:
        if _order(op) > held.order:
            fates[op.number] = _missing(op, Fate.STALE)
    return fates, False


def _default(op: Operation) -> Fate:
    return {"acknowledged": Fate.KEPT, "failed": Fate.REFUSED}.get(op.outcome or "", Fate.UNKNOWN)


def _judge_absent(chain: Sequence[Operation], acked: Sequence[Operation]) -> dict[int, Fate]:
    """Judge a document that is absent: writes after its last acknowledged delete are gone."""
    deleted = max((_order(op) for op in acked if op.kind == "delete"), default=(0, 0))
    excused = any(op.outcome in ("unknown", None) and op.kind == "delete" for op in chain)
    fate = Fate.UNKNOWN if excused else Fate.LOST
    return {op.number: fate for op in acked if _order(op) > deleted}


def _missing(op: Operation, upsert: Fate) -> Fate:
    return Fate.RESURRECTED if op.kind == "delete" else upsert


def _source(chain: Sequence[Operation], held: StoredVersion) -> Operation | None:
    """Return the write that stored the held content. An acknowledged one counts only at its own position."""
    for op in chain:
        same = op.kind == "upsert" and op.content_hash == held.content_hash
        if same and (op.outcome != "acknowledged" or op.order == held.order):
            return op
    return None


def _order(op: Operation) -> tuple[int, int]:
    if op.order is None:
        raise ValueError(f"operation {op.number} is acknowledged and has no position")
    return op.order


def losses(
    operations: Sequence[Operation], audited: Audit, t0: float, began: float, write_interval_seconds: float
) -> Losses:
    """Count the fates and time the loss.

    The loss is T0 minus the acknowledgement of the newest write before the first missing one, in the order of
    acknowledgement. It is never shorter than the write interval, the resolution of the ledger.
    """
    counts = Counter(audited.fates.values())
    # Content of no known write is a phantom as much as a refused write that is there.
    phantom = max(counts[Fate.PHANTOM], len(audited.phantoms))
    return Losses(
        **{fate.value: counts[fate] for fate in Fate} | {"phantom": phantom},
        rpo_seconds=_rpo_seconds(operations, audited, t0, began, write_interval_seconds),
        write_interval_seconds=write_interval_seconds,
    )


def _rpo_seconds(
    operations: Sequence[Operation], audited: Audit, t0: float, began: float, write_interval_seconds: float
) -> float | None:
    acked = ((op.acknowledged_at, op.number) for op in operations if op.acknowledged_at is not None)
    newest_kept = began
    for at, number in sorted(acked):
        if audited.fates[number] in (Fate.LOST, Fate.STALE, Fate.RESURRECTED):
            return max(write_interval_seconds, t0 - newest_kept)
        newest_kept = at
    return None
