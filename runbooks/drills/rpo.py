"""What was lost: each acknowledged operation of the ledger against what the service holds at the end.

Pure. An operation whose outcome is unknown may have happened or not; both are legal and it is never
counted as lost. An operation that was acknowledged and is not there always is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Fate(StrEnum):
    """KEPT: there, or rightly replaced by a later one. LOST: its content is gone. STALE: an older version
    stands in its place. RESURRECTED: a deleted document is back. PHANTOM: refused, and there all the same.
    UNKNOWN: nobody can say. REFUSED: not written, as the service said."""

    KEPT = "kept"
    LOST = "lost"
    STALE = "stale"
    RESURRECTED = "resurrected"
    PHANTOM = "phantom"
    UNKNOWN = "unknown"
    REFUSED = "refused"


@dataclass(frozen=True)
class WriteOp:
    """One write of the ledger. `order` is (position, item), there when it was acknowledged."""

    number: int
    source_id: str
    kind: Literal["upsert", "delete"]
    content_hash: str | None
    outcome: Literal["acknowledged", "failed", "unknown"]
    order: tuple[int, int] | None = None
    acknowledged_at: float | None = None


@dataclass(frozen=True)
class Held:
    """What the service holds for a source_id."""

    order: tuple[int, int]
    content_hash: str


@dataclass(frozen=True)
class Audit:
    """The fate of every operation, and the source_ids that hold content nobody was told is stored."""

    fates: Mapping[int, Fate]
    phantoms: tuple[str, ...]


@dataclass(frozen=True)
class Losses:
    """Counts by fate. `rpo_seconds` is None when nothing acknowledged is missing."""

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
        """Nothing lost, nothing stale, nothing back from the dead, nothing from nowhere."""
        return not (self.lost or self.stale or self.resurrected or self.phantom)

    @property
    def sentence(self) -> str:
        """The RPO in words; a finite number of writes can never show that it is zero."""
        if self.rpo_seconds is None:
            return f"no acknowledged write lost: RPO ≤ {self.write_interval_seconds:g} s, the write interval"
        return f"acknowledged writes lost or stale: {self.rpo_count}, RPO {self.rpo_seconds:.2f} s"


def audit(operations: Iterable[WriteOp], held: Mapping[str, Held | None]) -> Audit:
    """Judge every operation. Raises ValueError when `held` does not cover a source_id."""
    by_source: dict[str, list[WriteOp]] = {}
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


def _judge(chain: Sequence[WriteOp], held: Held | None) -> tuple[dict[int, Fate], bool]:
    """Fates of one document's operations, and whether its content is a phantom."""
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


def _default(op: WriteOp) -> Fate:
    return {"acknowledged": Fate.KEPT, "unknown": Fate.UNKNOWN, "failed": Fate.REFUSED}[op.outcome]


def _judge_absent(chain: Sequence[WriteOp], acked: Sequence[WriteOp]) -> dict[int, Fate]:
    """Nothing is there: what was written after the last acknowledged delete is gone."""
    deleted = max((_order(op) for op in acked if op.kind == "delete"), default=(0, 0))
    excused = any(op.outcome == "unknown" and op.kind == "delete" for op in chain)
    fate = Fate.UNKNOWN if excused else Fate.LOST
    return {op.number: fate for op in acked if _order(op) > deleted}


def _missing(op: WriteOp, upsert: Fate) -> Fate:
    return Fate.RESURRECTED if op.kind == "delete" else upsert


def _source(chain: Sequence[WriteOp], held: Held) -> WriteOp | None:
    """The operation that put the held content there. An acknowledged one counts only at its own place."""
    for op in chain:
        same = op.kind == "upsert" and op.content_hash == held.content_hash
        if same and (op.outcome != "acknowledged" or op.order == held.order):
            return op
    return None


def _order(op: WriteOp) -> tuple[int, int]:
    if op.order is None:
        raise ValueError(f"operation {op.number} is acknowledged and has no position")
    return op.order


def losses(
    operations: Sequence[WriteOp], audited: Audit, t0: float, began: float, write_interval_seconds: float
) -> Losses:
    """Count the fates and time the loss: T0 minus the acknowledgement of the newest operation in the
    longest prefix (in the order of acknowledgement) of which everything was kept.

    A loss is never shorter than the write interval, which is how finely the ledger looks.
    """
    counts = Counter(audited.fates.values())
    # Content of which no operation is known is a phantom as much as a refused write that is there.
    phantom = max(counts[Fate.PHANTOM], len(audited.phantoms))
    return Losses(
        kept=counts[Fate.KEPT],
        lost=counts[Fate.LOST],
        stale=counts[Fate.STALE],
        resurrected=counts[Fate.RESURRECTED],
        phantom=phantom,
        unknown=counts[Fate.UNKNOWN],
        refused=counts[Fate.REFUSED],
        rpo_seconds=_rpo_seconds(operations, audited, t0, began, write_interval_seconds),
        write_interval_seconds=write_interval_seconds,
    )


def _rpo_seconds(
    operations: Sequence[WriteOp], audited: Audit, t0: float, began: float, write_interval_seconds: float
) -> float | None:
    acked = sorted(
        (op for op in operations if op.acknowledged_at is not None), key=lambda op: op.acknowledged_at or 0.0
    )
    newest_kept = began
    for op in acked:
        if audited.fates[op.number] in (Fate.LOST, Fate.STALE, Fate.RESURRECTED):
            return max(write_interval_seconds, t0 - newest_kept)
        if op.acknowledged_at is not None:
            newest_kept = op.acknowledged_at
    return None
