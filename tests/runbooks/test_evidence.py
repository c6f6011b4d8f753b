"""From ledger to canaries: what counts as good, as silence, and as healthy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbooks.drills.evidence import canaries, healthy_streak, hole, write_ops
from runbooks.ledger import Ledger, Operation, Outcome

OPERATION = Operation(
    number=1,
    kind="search",
    beacon=False,
    due=1.0,
    source_id="a",
    content_hash=None,
    outcome="right",
    done=1.5,
    status=200,
    position=None,
    item=None,
    detail="",
)


@pytest.mark.parametrize(
    ("outcome", "result"),
    [("right", "good"), ("acknowledged", "good"), ("partial", "partial"), ("wrong", "bad"), ("failed", "bad")],
)
def test_an_outcome_is_a_result(outcome: Outcome, result: str) -> None:
    assert canaries([replace(OPERATION, outcome=outcome)])[0].result == result


def test_an_unknown_write_is_a_failed_canary_and_no_response() -> None:
    found = canaries([replace(OPERATION, kind="upsert", outcome="unknown")])[0]
    assert (found.result, found.response_seconds) == ("bad", None)


def test_responses_count_from_the_due_instant() -> None:
    assert canaries([OPERATION])[0].response_seconds == 0.5


def test_a_write_without_outcome_is_unknown() -> None:
    found = write_ops([replace(OPERATION, kind="delete", outcome=None, done=None)])[0]
    assert (found.kind, found.outcome, found.order) == ("delete", "unknown", None)


def ledger(dues: list[float]) -> Ledger:
    operations = tuple(replace(OPERATION, number=n, due=due) for n, due in enumerate(dues))
    return Ledger("x", "http://127.0.0.1", 1.0, 0.0, 0.0, None, "", operations)


def test_a_silence_is_found() -> None:
    assert hole(ledger([0.0, 1.0, 2.0, 3.0]), until=4.0) == ""
    assert "silent for 2.00 s" in hole(ledger([0.0, 1.0, 3.0]), until=4.0)
    assert "silent for 3.00 s" in hole(ledger([0.0, 1.0]), until=4.0)
    assert "no canary" in hole(ledger([]), until=4.0)


def test_a_streak_ends_at_the_last_failure_and_looks_past_what_is_in_flight() -> None:
    good = OPERATION
    bad = replace(OPERATION, outcome="failed")
    flying = replace(OPERATION, outcome=None)
    assert healthy_streak(canaries([good, bad, good, good, flying])) == 2
    assert healthy_streak(canaries([good, flying, good])) == 1
    assert healthy_streak([]) == 0
