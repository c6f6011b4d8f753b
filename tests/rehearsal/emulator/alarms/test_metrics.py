"""Statistics of metric data, compared with the plain samples."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.emulator.alarms.metrics import (
    RETENTION_SECONDS,
    Metric,
    Store,
    Summary,
    percentile_of,
    summarise,
)

values = st.lists(st.integers(0, 1000).map(float), min_size=1, max_size=60)
METRIC = Metric.of("vectorfleet", "RetrievalLatency", [{"Name": "Slot", "Value": "blue"}])


@given(values, st.floats(0.1, 100))
def test_a_percentile_is_the_nearest_rank_of_the_plain_samples(samples: list[float], percent: float) -> None:
    counted = Counter(samples)
    summary = summarise({"Values": list(counted), "Counts": list(counted.values())})
    rank = max(1, math.ceil(percent / 100 * len(samples) - 1e-9))
    assert summary.percentile(percent) == sorted(samples)[rank - 1]


@given(values, values)
def test_merging_equals_putting_everything_at_once(left: list[float], right: list[float]) -> None:
    merged = summarise({"Values": left})
    merged.merge(summarise({"Values": right}))
    whole = summarise({"Values": left + right})
    for name in ("Sum", "Minimum", "Maximum", "SampleCount", "Average", "p50", "p99.9"):
        assert merged.statistic(name) == pytest.approx(whole.statistic(name))


def test_a_statistic_set_has_statistics_but_no_percentile() -> None:
    stats = {"SampleCount": 3, "Sum": 6, "Minimum": 1, "Maximum": 3}
    summary = summarise({"StatisticValues": stats})
    assert [summary.statistic(n) for n in ("Average", "Minimum", "Maximum", "p95")] == [2, 1, 3, None]
    equal = summarise({"StatisticValues": {"SampleCount": 3, "Sum": 6, "Minimum": 2, "Maximum": 2}})
    assert equal.statistic("p95") == 2


@pytest.mark.parametrize("name", ["p101", "P95", "Median", "p", "tm99", ""])
def test_unknown_statistics_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is unknown"):
        percentile_of(name)


def test_an_empty_summary_has_no_statistic() -> None:
    assert Summary().statistic("Sum") is None
    assert Summary().statistic("p95") is None


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9).map(float)), min_size=1), st.sampled_from([1, 10, 60]))
def test_every_sample_is_in_exactly_one_period(samples: list[tuple[int, float]], period: int) -> None:
    store = Store()
    for second, value in samples:
        store.put(METRIC, second + 0.5, summarise({"Value": value}))
    found = store.summaries(METRIC, range(0, 120, period), period)
    assert sum(summary.count for summary in found.values()) == len(samples)
    assert sum(summary.total for summary in found.values()) == sum(value for _, value in samples)


def test_old_data_is_forgotten() -> None:
    store = Store()
    store.put(METRIC, 0, summarise({"Value": 1}))
    store.put(METRIC, RETENTION_SECONDS + 1, summarise({"Value": 1}))
    assert store.summaries(METRIC, [0], 10) == {}
