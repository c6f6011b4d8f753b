"""Recovery time as arithmetic over canaries: which instant is which, and when nothing was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.drills.measure import Canary, CanaryResult, Marks, Yardstick, last_window, look, measure

INTERVAL = 0.5
YARDSTICK = Yardstick(window_seconds=5.0, interval_seconds=INTERVAL, slow_seconds=0.2)


def beats(count: int, bad: set[int] | None = None, result: CanaryResult = "bad") -> list[Canary]:
    """A search and a write at each due instant; those in `bad` fail."""
    found = []
    for beat in range(count):
        state: CanaryResult = result if bad and beat in bad else "good"
        found.append(Canary(beat * INTERVAL, "search", state, 0.01 if state == "good" else None))
        found.append(Canary(beat * INTERVAL, "write", "good", 0.03))
    return found


def test_no_failed_canary_means_nothing_was_measured() -> None:
    found = measure(beats(100), Marks(injected=5.0, launched=6.0, ready=8.0), YARDSTICK)
    assert (found.t0, found.t5, found.rto_seconds) == (None, None, None)


def test_a_canary_that_failed_before_the_fault_is_not_its_effect() -> None:
    assert measure(beats(100, bad={2}), Marks(injected=5.0), YARDSTICK).t0 is None


def test_recovery_runs_from_the_first_failure_to_the_first_good_window() -> None:
    found = measure(beats(100, bad=set(range(12, 30))), Marks(injected=5.2, launched=7.0, ready=13.0), YARDSTICK)
    assert (found.t0, found.t1, found.t3, found.t5) == (6.0, 7.0, 13.0, 15.0)
    assert found.rto_seconds == 9.0
    assert found.from_injection_seconds == pytest.approx(9.8)
    assert found.uncertainty_seconds == INTERVAL


def test_a_relapse_inside_the_window_moves_the_recovery_behind_it() -> None:
    found = measure(beats(100, bad={*range(12, 20), 26}), Marks(injected=5.2), YARDSTICK)
    assert found.t5 == 13.5


def test_partial_answers_are_failures() -> None:
    found = measure(beats(100, bad=set(range(12, 20)), result="partial"), Marks(injected=5.2), YARDSTICK)
    assert (found.t0, found.t5) == (6.0, 10.0)


def test_no_recovery_is_seen_until_the_window_is_whole() -> None:
    assert measure(beats(29, bad=set(range(12, 20))), Marks(injected=5.2), YARDSTICK).t5 is None
    assert measure(beats(30, bad=set(range(12, 20))), Marks(injected=5.2), YARDSTICK).t5 == 10.0


def test_a_mark_that_was_never_seen_leaves_its_phases_open() -> None:
    phases = measure(beats(100, bad={12}), Marks(injected=5.2, launched=6.0), YARDSTICK).phases
    assert (phases.restore_seconds, phases.validate_seconds, phases.traffic_seconds) == (None, None, None)
    assert phases.detect_seconds == 0.0


def test_the_alarm_is_told_apart_from_the_recovery() -> None:
    with_alarm = measure(beats(100, bad={12}), Marks(injected=5.0, alarm=9.0), YARDSTICK)
    without = measure(beats(100, bad={12}), Marks(injected=5.0), YARDSTICK)
    assert (with_alarm.alarm_after_seconds, without.alarm_after_seconds) == (4.0, None)
    assert with_alarm.rto_seconds == without.rto_seconds


# What a window must not have, one flaw at a time: each turns the look red.


def test_a_good_window_is_good() -> None:
    assert look(beats(20), 0.0, YARDSTICK).reason == ""


def test_one_error_in_few_canaries_is_too_many() -> None:
    assert "errors" in look(beats(20, bad={3}), 0.0, YARDSTICK).reason


def test_a_partial_answer_is_named() -> None:
    assert "lacked a shard" in look(beats(20, bad={3}, result="partial"), 0.0, YARDSTICK).reason


def test_one_partial_answer_spoils_even_a_large_window() -> None:
    wide = replace(YARDSTICK, window_seconds=100.0)
    assert "lacked a shard" in look(beats(200, bad={3}, result="partial"), 0.0, wide).reason


def test_errors_under_one_percent_are_allowed() -> None:
    wide = replace(YARDSTICK, window_seconds=100.0)
    assert look(beats(200, bad={3}), 0.0, wide).reason == ""
    assert "errors" in look(beats(200, bad={3, 5, 7, 9}), 0.0, wide).reason


def test_slow_searches_are_counted_from_their_due_instant() -> None:
    slow = [replace(c, response_seconds=0.3) if c.kind == "search" else c for c in beats(20)]
    assert "slower than 200 ms" in look(slow, 0.0, YARDSTICK).reason


def test_slow_writes_have_no_target() -> None:
    slow = [replace(c, response_seconds=0.3) if c.kind == "write" else c for c in beats(20)]
    assert look(slow, 0.0, YARDSTICK).reason == ""


@pytest.mark.parametrize("kind", ["search", "write"])
def test_what_was_not_observed_is_not_good(kind: str) -> None:
    assert "planned" in look([c for c in beats(20) if c.kind != kind], 0.0, YARDSTICK).reason


@given(st.floats(0, 1e6), st.integers(10, 40))
def test_the_last_window_holds_all_its_canaries_at_any_instant(due: float, count: int) -> None:
    canaries = []
    for _ in range(count):
        canaries += [Canary(due, "search", "good", 1.0), Canary(due, "write", "good", 1.0)]
        due += 0.05
    window = last_window(canaries, Yardstick(0.5, 0.05, slow_seconds=0.5))
    assert window.reason == "10 of 10 searches slower than 500 ms"


def test_a_window_that_is_nearly_over_is_not_over() -> None:
    wide = replace(YARDSTICK, window_seconds=50.0)
    assert look(beats(97), 0.0, wide).reason == "the window is not over yet"
    assert look(beats(100), 0.0, wide).reason == ""


def test_a_silent_observer_does_not_show_a_recovery() -> None:
    gap = [c for c in beats(20) if not 1.0 <= c.due < 2.0]
    assert "planned" in look(gap, 0.0, YARDSTICK).reason


def test_what_is_still_in_flight_is_not_good() -> None:
    assert look(beats(20, bad={3}, result="pending"), 0.0, YARDSTICK).reason


RESULTS: st.SearchStrategy[CanaryResult] = st.sampled_from(["good", "good", "good", "partial", "bad", "pending"])
SECONDS = st.one_of(st.none(), st.floats(min_value=0, max_value=60))


@settings(deadline=None)
@given(
    results=st.lists(RESULTS, min_size=1, max_size=120),
    injected=st.floats(min_value=0, max_value=30),
    launched=SECONDS,
    ready=SECONDS,
)
def test_the_instants_stand_in_order_and_the_phases_add_up(
    results: list[CanaryResult], injected: float, launched: float | None, ready: float | None
) -> None:
    canaries = [
        Canary(beat * INTERVAL, kind, result if kind == "search" else "good", 0.01)
        for beat, result in enumerate(results)
        for kind in ("search", "write")
    ]
    found = measure(canaries, Marks(injected, launched, ready), YARDSTICK)
    instants = [t for t in (found.t0, found.t1, found.t3, found.t4, found.t5) if t is not None]
    assert instants == sorted(instants)
    if found.t0 is not None:
        assert found.t0 >= injected
    if found.t5 is not None:
        assert look(canaries, found.t5, YARDSTICK).reason == ""
        parts = (found.phases.detect_seconds, found.phases.restore_seconds)
        more = (found.phases.validate_seconds, found.phases.traffic_seconds)
        known = [part for part in (*parts, *more) if part is not None]
        if len(known) == 4:
            assert sum(known) == pytest.approx(found.rto_seconds)


@settings(deadline=None)
@given(results=st.lists(RESULTS, min_size=30, max_size=80), later=st.integers(min_value=20, max_value=40))
def test_one_more_failure_never_makes_recovery_shorter(results: list[CanaryResult], later: int) -> None:
    def recovery(states: list[CanaryResult]) -> float | None:
        found = [Canary(i * INTERVAL, "search", s, 0.01) for i, s in enumerate(states)]
        both = [c for canary in found for c in (canary, Canary(canary.due, "write", "good", 0.01))]
        return measure(both, Marks(injected=0.0), YARDSTICK).rto_seconds

    states: list[CanaryResult] = ["bad", *results]
    worse = [*states]
    worse[min(later, len(states) - 1)] = "bad"
    before, after = recovery(states), recovery(worse)
    assert after is None or (before is not None and after >= before)
