"""The audit of a ledger, against a model of an honest service and of wrong ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.drills.losses import Fate, Losses, StoredVersion, audit, losses
from runbooks.observe.exchange import Outcome
from runbooks.observe.ledger import Operation

BAD = {Fate.LOST, Fate.STALE, Fate.RESURRECTED, Fate.PHANTOM}


@dataclass
class History:
    """Writes of documents, and the versions that an honest service then holds."""

    operations: list[Operation] = field(default_factory=list)
    held: dict[str, StoredVersion | None] = field(default_factory=dict)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["upsert", "upsert", "delete"]),
        st.sampled_from(["acknowledged", "acknowledged", "acknowledged", "failed", "unknown-in", "unknown-out"]),
    ),
    max_size=25,
)


def honest(steps: list[tuple[str, str, str]]) -> History:
    history = History()
    for number, (source_id, kind, what) in enumerate(steps, start=1):
        content = f"content {number}" if kind == "upsert" else None
        acknowledged = what == "acknowledged"
        outcome: Outcome = "acknowledged" if acknowledged else "failed" if what == "failed" else "unknown"
        history.operations.append(write(number, source_id, kind, outcome))
        history.held.setdefault(source_id, None)
        if what != "failed" and what != "unknown-out":
            history.held[source_id] = StoredVersion((number, 0), content) if content else None
    return history


@settings(deadline=None)
@given(STEPS)
def test_an_honest_service_has_no_losses(steps: list[tuple[str, str, str]]) -> None:
    history = honest(steps)
    found = audit(history.operations, history.held)
    assert not BAD & set(found.fates.values())
    assert not found.phantoms


@settings(deadline=None)
@given(STEPS)
def test_an_unknown_write_is_never_counted_as_lost(steps: list[tuple[str, str, str]]) -> None:
    history = honest(steps)
    for everything_gone in (history.held, dict.fromkeys(history.held)):
        found = audit(history.operations, everything_gone)
        for operation in history.operations:
            if operation.outcome == "unknown":
                assert found.fates[operation.number] is Fate.UNKNOWN


@settings(deadline=None)
@given(STEPS)
def test_every_operation_has_one_fate(steps: list[tuple[str, str, str]]) -> None:
    history = honest(steps)
    found = audit(history.operations, history.held)
    assert found.fates.keys() == {operation.number for operation in history.operations}


@settings(deadline=None)
@given(STEPS)
def test_an_acknowledged_write_that_is_missing_is_always_lost(steps: list[tuple[str, str, str]]) -> None:
    history = honest(steps)
    gone: dict[str, StoredVersion | None] = dict.fromkeys(history.held)
    found = audit(history.operations, gone)
    for source_id in gone:
        chain = [op for op in history.operations if op.source_id == source_id]
        excused = any(op.outcome == "unknown" and op.kind == "delete" for op in chain)
        acked = [op for op in chain if op.outcome == "acknowledged"]
        if acked and acked[-1].kind == "upsert" and not excused:
            assert found.fates[acked[-1].number] is Fate.LOST


def write(number: int, source_id: str, kind: str, outcome: Outcome) -> Operation:
    content = f"content {number}" if kind == "upsert" else None
    operation = Operation(number, "delete" if kind == "delete" else "upsert", False, 0.0, source_id, content, outcome)
    return replace(operation, done=float(number), position=number, item=0) if outcome == "acknowledged" else operation


def op(number: int, kind: str = "upsert", outcome: Outcome = "acknowledged") -> Operation:
    return write(number, "a", kind, outcome)


def fates(operations: list[Operation], held: StoredVersion | None) -> dict[int, str]:
    return {number: fate.value for number, fate in audit(operations, {"a": held}).fates.items()}


def test_lost() -> None:
    assert fates([op(1)], None) == {1: "lost"}


def test_an_older_version_is_stale() -> None:
    assert fates([op(1), op(2)], StoredVersion((1, 0), "content 1")) == {1: "kept", 2: "stale"}


def test_both_versions_gone_is_lost_twice() -> None:
    assert fates([op(1), op(2)], None) == {1: "lost", 2: "lost"}


def test_a_delete_undone_is_resurrected() -> None:
    assert fates([op(1), op(2, "delete")], StoredVersion((1, 0), "content 1")) == {1: "kept", 2: "resurrected"}


def test_a_delete_that_holds_is_kept() -> None:
    assert fates([op(1), op(2, "delete")], None) == {1: "kept", 2: "kept"}


def test_only_the_write_after_a_delete_is_lost() -> None:
    assert fates([op(1), op(2, "delete"), op(3)], None) == {1: "kept", 2: "kept", 3: "lost"}


def test_a_refused_write_that_is_there_is_a_phantom() -> None:
    assert fates([op(1, outcome="failed")], StoredVersion((1, 0), "content 1")) == {1: "phantom"}


def test_a_refused_write_that_is_not_there_is_refused() -> None:
    assert fates([op(1, outcome="failed")], None) == {1: "refused"}


def test_unknown_content_is_a_phantom_and_a_loss() -> None:
    found = audit([op(1)], {"a": StoredVersion((1, 0), "something else")})
    assert (dict(found.fates), found.phantoms) == ({1: Fate.LOST}, ("a",))


def test_content_at_another_position_is_a_phantom() -> None:
    found = audit([op(1)], {"a": StoredVersion((7, 0), "content 1")})
    assert (found.fates[1], found.phantoms) == (Fate.LOST, ("a",))


def test_an_unknown_write_that_is_there_is_legal() -> None:
    assert fates([op(1), op(2, outcome="unknown")], StoredVersion((2, 0), "content 2")) == {1: "kept", 2: "unknown"}


def test_an_unknown_delete_excuses_an_absence() -> None:
    assert fates([op(1), op(2, "delete", "unknown")], None) == {1: "unknown", 2: "unknown"}


def test_a_look_up_that_leaves_a_document_out_is_an_error() -> None:
    with pytest.raises(ValueError, match="did not answer for 1"):
        audit([op(1)], {})


def test_nothing_lost_is_never_zero() -> None:
    found = _losses([op(1), op(2)], StoredVersion((2, 0), "content 2"), t0=9.0)
    assert found.none
    assert found.rpo_seconds is None
    assert found.sentence == "no acknowledged write lost: RPO ≤ 0.25 s, the write interval"


def test_the_loss_counts_from_the_newest_write_before_it() -> None:
    spread = [write(number, f"d{number}", "upsert", "acknowledged") for number in (1, 2, 3)]
    held: dict[str, StoredVersion | None] = {
        "d1": StoredVersion((1, 0), "content 1"),
        "d2": None,
        "d3": StoredVersion((3, 0), "content 3"),
    }
    found = losses(spread, audit(spread, held), t0=9.0, began=0.0, write_interval_seconds=0.25)
    assert (found.rpo_count, found.rpo_seconds) == (1, 8.0)
    assert found.sentence == "acknowledged writes lost or stale: 1, RPO 8.00 s"


def test_a_loss_is_never_shorter_than_the_write_interval() -> None:
    assert _losses([op(1), op(2)], StoredVersion((1, 0), "content 1"), t0=0.5).rpo_seconds == 0.25


def test_all_lost_counts_from_the_beginning() -> None:
    assert _losses([op(1)], None, t0=9.0).rpo_seconds == 9.0


def _losses(operations: list[Operation], held: StoredVersion | None, t0: float) -> Losses:
    audited = audit(operations, {"a": held})
    return losses(operations, audited, t0=t0, began=0.0, write_interval_seconds=0.25)
