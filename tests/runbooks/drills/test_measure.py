"""The recovery time and its phases, computed from canaries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.drills.measure import Marks, measure
from runbooks.observe.ledger import Result
from runbooks.observe.windows import judge_window
from tests.runbooks.canary_series import INTERVAL, YARDSTICK, beats, canary


def test_no_failed_canary_means_nothing_was_measured() -> None:
    found = measure(beats(100), Marks(injected=5.0, launched=6.0, ready=8.0), YARDSTICK)
    assert (found.t0, found.t5, found.rto_seconds) == (None, None, None)


def test_a_canary_that_failed_before_the_fault_is_not_its_effect() -> None:
    assert measure(beats(100, bad={2}), Marks(injected=5.0), YARDSTICK).t0 is None


def test_recovery_runs_from_the_first_failure_to_a_good_window() -> None:
    found = measure(beats(100, bad=set(range(12, 30))), Marks(injected=5.2, launched=7.0, ready=13.0), YARDSTICK)
    assert (found.t0, found.t1, found.t3, found.t5) == (6.0, 7.0, 13.0, 15.0)
    assert found.rto_seconds == 9.0
    assert found.from_injection_seconds == pytest.approx(9.8)
    assert found.uncertainty_seconds == INTERVAL


def test_a_relapse_in_the_window_delays_the_recovery() -> None:
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


def test_the_alarm_is_no_part_of_the_recovery() -> None:
    with_alarm = measure(beats(100, bad={12}), Marks(injected=5.0, alarm=9.0), YARDSTICK)
    without = measure(beats(100, bad={12}), Marks(injected=5.0), YARDSTICK)
    assert (with_alarm.alarm_after_seconds, without.alarm_after_seconds) == (4.0, None)
    assert with_alarm.rto_seconds == without.rto_seconds


RESULTS: st.SearchStrategy[Result] = st.sampled_from(["good", "good", "good", "partial", "bad", "pending"])
SECONDS = st.one_of(st.none(), st.floats(min_value=0, max_value=60))


@settings(deadline=None)
@given(
    results=st.lists(RESULTS, min_size=1, max_size=120),
    injected=st.floats(min_value=0, max_value=30),
    launched=SECONDS,
    ready=SECONDS,
)
def test_instants_are_in_order_and_phases_add_up(
    results: list[Result], injected: float, launched: float | None, ready: float | None
) -> None:
    canaries = [
        canary(beat * INTERVAL, kind, result if kind == "search" else "good", 0.01)
        for beat, result in enumerate(results)
        for kind in ("search", "upsert")
    ]
    found = measure(canaries, Marks(injected, launched, ready), YARDSTICK)
    instants = [t for t in (found.t0, found.t1, found.t3, found.t4, found.t5) if t is not None]
    assert instants == sorted(instants)
    if found.t0 is not None:
        assert found.t0 >= injected
    if found.t5 is not None:
        assert judge_window(canaries, found.t5, YARDSTICK).reason == ""
        parts = (found.phases.detect_seconds, found.phases.restore_seconds)
        more = (found.phases.validate_seconds, found.phases.traffic_seconds)
        known = [part for part in (*parts, *more) if part is not None]
        if len(known) == 4:
            assert sum(known) == pytest.approx(found.rto_seconds)


@settings(deadline=None)
@given(results=st.lists(RESULTS, min_size=30, max_size=80), later=st.integers(min_value=20, max_value=40))
def test_one_more_failure_never_makes_recovery_shorter(results: list[Result], later: int) -> None:
    def recovery(states: list[Result]) -> float | None:
        found = [canary(i * INTERVAL, "search", s, 0.01) for i, s in enumerate(states)]
        both = [c for one in found for c in (one, canary(one.due, "upsert", "good", 0.01))]
        return measure(both, Marks(injected=0.0), YARDSTICK).rto_seconds

    states: list[Result] = ["bad", *results]
    worse = [*states]
    worse[min(later, len(states) - 1)] = "bad"
    before, after = recovery(states), recovery(worse)
    assert after is None or (before is not None and after >= before)
