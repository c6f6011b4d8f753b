"""Alarm evaluation, compared with the examples of the CloudWatch user guide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.emulator.alarms.evaluation import (
    EXTRA_PERIODS,
    Definition,
    Missing,
    Query,
    State,
    evaluate,
    reason_data,
)
from rehearsal.emulator.alarms.metrics import Metric, Store, Summary, summarise

LATENCY = Metric("vectorfleet", "RetrievalLatency", (("Fleet", "f"), ("Slot", "blue")))
ERRORS, REQUESTS = Metric("vectorfleet", "Errors"), Metric("vectorfleet", "Requests")
NOW = 1000.0
MODES: tuple[Missing, ...] = ("missing", "ignore", "breaching", "notBreaching")


def alarm(needed: int = 3, periods: int = 3, statistic: str = "Maximum", **more: object) -> Definition:
    base = Definition((Query("m1", LATENCY, statistic),), 10, periods, needed, "GreaterThanThreshold", 1.0)
    return replace(base, **more)  # type: ignore[arg-type]


def state(definition: Definition, points: Sequence[float | None], current: State = "OK") -> State:
    """Return the state for points of the evaluation range, oldest first."""
    store = Store()
    for start, point in zip(definition.starts(NOW), points, strict=True):
        if point is not None:
            store.put(LATENCY, start, summarise({"Value": point}))
    return evaluate(definition, store.summaries, NOW, current).state


def read(pattern: str) -> list[float | None]:
    """Read points in the guide's notation: 0 is fine, X breaches, - is missing."""
    return [{"0": 0.0, "X": 9.0, "-": None}[letter] for letter in pattern]


KEEP = "keep"


@pytest.mark.parametrize(
    ("needed", "pattern", "states"),
    [
        (3, "0-X-X", ("OK", "OK", "OK", "OK")),
        (3, "----0", ("OK", "OK", "OK", "OK")),
        (3, "-----", ("INSUFFICIENT_DATA", KEEP, "ALARM", "OK")),
        (3, "0XX-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (3, "--X--", ("ALARM", KEEP, "ALARM", "OK")),
        (2, "0-X-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, "00X0X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, "0-X--", ("OK", "OK", "ALARM", "OK")),
        (2, "----0", ("OK", "OK", "ALARM", "OK")),
        (2, "---X-", ("ALARM", KEEP, "ALARM", "OK")),
    ],
)
@pytest.mark.parametrize("current", ["OK", "ALARM", "INSUFFICIENT_DATA"])
def test_the_tables_of_the_user_guide(needed: int, pattern: str, states: tuple[str, ...], current: State) -> None:
    for mode, expected in zip(MODES, states, strict=True):
        found = state(alarm(needed, missing=mode), read(pattern), current)
        assert found == (current if expected == KEEP else expected), mode


def test_a_first_breaching_point_alone_decides_nothing() -> None:
    for current in ("OK", "INSUFFICIENT_DATA"):
        assert state(alarm(3), read("----X"), current) == current


points = st.lists(st.sampled_from([0.0, 9.0]), min_size=5, max_size=5)


@given(points, st.integers(1, 3), st.sampled_from(MODES))
def test_without_gaps_m_of_n_is_a_count(found: list[float], needed: int, mode: Missing) -> None:
    definition = alarm(needed, missing=mode)
    expected = "ALARM" if sum(found[-3:]) >= 9 * needed else "OK"
    assert state(definition, found) == expected


@given(st.lists(st.sampled_from([0.0, 9.0, None]), min_size=5, max_size=5), st.integers(1, 3))
def test_treating_gaps_as_breaching_is_never_calmer_than_as_fine(found: list[float | None], needed: int) -> None:
    if state(alarm(needed, missing="notBreaching"), found) == "ALARM":
        assert state(alarm(needed, missing="breaching"), found) == "ALARM"


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [2.0]),
        ("GreaterThanOrEqualToThreshold", [1.0, 2.0]),
        ("LessThanThreshold", [0.0]),
        ("LessThanOrEqualToThreshold", [0.0, 1.0]),
    ],
)
def test_comparisons(comparison: str, breaching: list[float]) -> None:
    definition = alarm(1, 1, comparison=comparison)
    assert [p for p in (0.0, 1.0, 2.0) if state(definition, [None, None, p]) == "ALARM"] == breaching


def test_only_complete_periods_count() -> None:
    definition = alarm(1, 1)
    assert definition.starts(1009.99) == [970, 980, 990]
    assert definition.starts(1010.0) == [980, 990, 1000]
    assert len(alarm(2, 7).starts(NOW)) == 7 + EXTRA_PERIODS


def _percentiles(**more: object) -> tuple[Definition, Store]:
    store = Store()
    counts = {"Values": [10.0, 900.0], "Counts": [94.0, 6.0]}
    store.put(LATENCY, 995, summarise(counts))
    return alarm(1, 1, "p95", threshold=500.0, **more), store


def test_a_percentile_alarm_reads_values_with_counts() -> None:
    definition, store = _percentiles()
    verdict = evaluate(definition, store.summaries, NOW, "OK")
    assert (verdict.state, verdict.points) == ("ALARM", (900.0,))
    assert "900.0 (01/01/70 00:16:30)" in verdict.reason
    assert json.loads(reason_data(definition, verdict, NOW))["recentDatapoints"] == [900.0]
    median = replace(definition, queries=(Query("m1", LATENCY, "p50"),))
    assert evaluate(median, store.summaries, NOW, "OK").state == "OK"


def test_too_few_samples_keep_the_state_when_asked_to() -> None:
    """100 samples are fewer than the 10 / (1 - 0.95) = 200 that p95 needs."""
    definition, store = _percentiles(ignore_low_samples=True)
    assert evaluate(definition, store.summaries, NOW, "OK").state == "OK"
    store.put(LATENCY, 996, summarise({"Values": [900.0], "Counts": [101.0]}))
    assert evaluate(definition, store.summaries, NOW, "OK").state == "ALARM"


def _error_rate(errors: float | None, requests: float | None) -> State:
    queries = (
        Query("rate", None, "", "IF(requests > 0, 100 * FILL(errors, 0) / requests, 0)", True),
        Query("errors", ERRORS, "Sum", "", False),
        Query("requests", REQUESTS, "Sum", "", False),
    )
    store = Store()
    for metric, value in ((ERRORS, errors), (REQUESTS, requests)):
        if value is not None:
            store.put(metric, 995, summarise({"Value": value}))
    definition = alarm(1, 1, queries=queries, threshold=5.0, missing="notBreaching")
    return evaluate(definition, store.summaries, NOW, "INSUFFICIENT_DATA").state


def test_an_error_rate_by_metric_math() -> None:
    assert _error_rate(6, 100) == "ALARM"
    assert _error_rate(5, 100) == "OK"
    assert _error_rate(None, 100) == "OK"
    assert _error_rate(3, 0) == "OK"
    assert _error_rate(None, None) == "OK"


def test_no_data_says_so_in_words() -> None:
    def nothing(*_: object) -> dict[int, Summary]:
        return {}

    verdict = evaluate(alarm(), nothing, NOW, "OK")
    assert (verdict.state, verdict.reason) == (
        "INSUFFICIENT_DATA",
        "Insufficient Data: no datapoints were received for 3 period(s).",
    )
    treated = evaluate(alarm(missing="breaching"), nothing, NOW, "OK")
    assert "treated as [Breaching]" in treated.reason
