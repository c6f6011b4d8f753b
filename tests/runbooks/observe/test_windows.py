"""Canaries of a ledger, silences in it, and windows that are good or not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.observe.exchange import Outcome
from runbooks.observe.ledger import Ledger, Operation
from runbooks.observe.windows import Yardstick, healthy_streak, judge_window, last_window
from tests.runbooks.canary_series import YARDSTICK, beats, canary

OPERATION = Operation(1, "search", False, 1.0, "a", None, "right", 1.5, 200)


@pytest.mark.parametrize(
    ("outcome", "result"),
    [("right", "good"), ("acknowledged", "good"), ("partial", "partial"), ("wrong", "bad"), ("failed", "bad")],
)
def test_an_outcome_is_a_result(outcome: Outcome, result: str) -> None:
    assert replace(OPERATION, outcome=outcome).result == result


def test_an_unknown_write_is_a_failed_canary_and_no_response() -> None:
    found = replace(OPERATION, kind="upsert", outcome="unknown")
    assert (found.result, found.response_seconds) == ("bad", None)


def test_responses_count_from_the_due_instant() -> None:
    assert OPERATION.response_seconds == 0.5


def ledger(dues: list[float]) -> Ledger:
    operations = tuple(replace(OPERATION, number=n, due=due) for n, due in enumerate(dues))
    return Ledger("x", "http://127.0.0.1", 1.0, 0.0, 0.0, None, "", operations)


def test_a_silence_is_found() -> None:
    assert ledger([0.0, 1.0, 2.0, 3.0]).hole(until=4.0) == ""
    assert "silent for 2.00 s" in ledger([0.0, 1.0, 3.0]).hole(until=4.0)
    assert "silent for 3.00 s" in ledger([0.0, 1.0]).hole(until=4.0)
    assert "no canary" in ledger([]).hole(until=4.0)


def test_a_streak_ends_at_a_failure_and_skips_canaries_in_flight() -> None:
    good = OPERATION
    bad = replace(OPERATION, outcome="failed")
    flying = replace(OPERATION, outcome=None)
    assert healthy_streak([good, bad, good, good, flying]) == 2
    assert healthy_streak([good, flying, good]) == 1
    assert healthy_streak([]) == 0


def test_a_good_window_is_good() -> None:
    assert judge_window(beats(20), 0.0, YARDSTICK).reason == ""


def test_one_error_in_few_canaries_is_too_many() -> None:
    assert "errors" in judge_window(beats(20, bad={3}), 0.0, YARDSTICK).reason


def test_a_partial_answer_is_named() -> None:
    assert "lacked a shard" in judge_window(beats(20, bad={3}, result="partial"), 0.0, YARDSTICK).reason


def test_one_partial_answer_spoils_even_a_large_window() -> None:
    wide = replace(YARDSTICK, window_seconds=100.0)
    assert "lacked a shard" in judge_window(beats(200, bad={3}, result="partial"), 0.0, wide).reason


def test_errors_under_one_percent_are_allowed() -> None:
    wide = replace(YARDSTICK, window_seconds=100.0)
    assert judge_window(beats(200, bad={3}), 0.0, wide).reason == ""
    assert "errors" in judge_window(beats(200, bad={3, 5, 7, 9}), 0.0, wide).reason


def test_slow_searches_are_counted_from_their_due_instant() -> None:
    slow = [replace(c, done=c.due + 0.3) if c.kind == "search" else c for c in beats(20)]
    assert "slower than 200 ms" in judge_window(slow, 0.0, YARDSTICK).reason


def test_slow_writes_have_no_target() -> None:
    slow = [replace(c, done=c.due + 0.3) if c.kind == "upsert" else c for c in beats(20)]
    assert judge_window(slow, 0.0, YARDSTICK).reason == ""


@pytest.mark.parametrize("kind", ["search", "upsert"])
def test_a_window_without_observations_is_not_good(kind: str) -> None:
    assert "planned" in judge_window([c for c in beats(20) if c.kind != kind], 0.0, YARDSTICK).reason


@given(st.floats(0, 1e6), st.integers(10, 40))
def test_the_last_window_holds_all_its_canaries_at_any_instant(due: float, count: int) -> None:
    canaries = []
    for _ in range(count):
        canaries += [canary(due, "search", "good", 1.0), canary(due, "upsert", "good", 1.0)]
        due += 0.05
    window = last_window(canaries, Yardstick(0.5, 0.05, slow_seconds=0.5))
    assert window.reason == "10 of 10 searches slower than 500 ms"


def test_a_window_that_is_nearly_over_is_not_over() -> None:
    wide = replace(YARDSTICK, window_seconds=50.0)
    assert judge_window(beats(97), 0.0, wide).reason == "the window is not over yet"
    assert judge_window(beats(100), 0.0, wide).reason == ""


def test_a_silent_observer_does_not_show_a_recovery() -> None:
    gap = [c for c in beats(20) if not 1.0 <= c.due < 2.0]
    assert "planned" in judge_window(gap, 0.0, YARDSTICK).reason


def test_a_canary_in_flight_is_not_good() -> None:
    assert judge_window(beats(20, bad={3}, result="pending"), 0.0, YARDSTICK).reason
