"""The figures for alarms: latencies as values with counts, and what counts as an error."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from service import cloudwatch
from service.cloudwatch import CloudWatch
from service.router.cloudwatch_metrics import FleetMetrics


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> FleetMetrics:
    """Metrics that are never sent."""
    monkeypatch.setattr(cloudwatch, "aws_client", lambda _: None)
    sender = CloudWatch(fleet="f", slot="blue", period_seconds=10)
    return FleetMetrics(sender, lambda: {"StaleReplicas": 2})


def _named(data: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [one for one in data if one["MetricName"] == name]


def test_counts_and_latencies_are_drained_once(metrics: FleetMetrics) -> None:
    for latency_ms in (12.34, 12.31, 250.0):
        metrics.observe(latency_ms, complete=True, partial=False)
    metrics.observe(99.0, complete=False, partial=True)
    metrics.observe(98.0, complete=False, partial=False)
    data = metrics._drain()
    values = {
        name: _named(data, name)[0]["Value"] for name in ("Requests", "Errors", "PartialAnswers", "StaleReplicas")
    }
    assert values == {"Requests": 5, "Errors": 2, "PartialAnswers": 1, "StaleReplicas": 2}
    (latencies,) = _named(data, "RetrievalLatency")
    assert dict(zip(latencies["Values"], latencies["Counts"], strict=True)) == {12: 2, 98: 1, 99: 1, 250: 1}
    again = metrics._drain()
    assert _named(again, "RetrievalLatency") == []
    assert _named(again, "Requests")[0]["Value"] == 0


def test_answers_for_which_shards_lag_are_counted_apart(metrics: FleetMetrics) -> None:
    metrics.observe(5000.0, complete=True, partial=False)
    metrics.observe_behind()
    counts = {one["MetricName"]: one["Value"] for one in metrics._drain() if "Value" in one}
    assert (counts["BehindAnswers"], counts["Errors"], counts["Requests"]) == (1, 0, 1)
    assert _named(metrics._drain(), "BehindAnswers")[0]["Value"] == 0


def test_a_figure_of_a_shard_has_it_as_its_third_dimension(metrics: FleetMetrics) -> None:
    whole, one = (metrics._cloudwatch.value("LagSeconds", "Seconds", 3, shard) for shard in (None, 1))
    assert one["Dimensions"] == [*whole["Dimensions"], {"Name": "Shard", "Value": "1"}]


def test_every_datum_has_exactly_the_alarms_dimensions(metrics: FleetMetrics) -> None:
    metrics.observe(5, complete=True, partial=False)
    for datum in metrics._drain():
        assert datum["Dimensions"] == [{"Name": "Fleet", "Value": "f"}, {"Name": "Slot", "Value": "blue"}]
        assert datum["StorageResolution"] == 1


def test_many_different_latencies_fit_into_data_of_150_values(metrics: FleetMetrics) -> None:
    sent = Counter[float]()
    for exponent in range(1, 5):
        for digits in range(10, 100):
            latency_ms = digits * 10.0**exponent
            metrics.observe(latency_ms, complete=True, partial=False)
            sent[latency_ms] += 1
    found = Counter[float]()
    for datum in _named(metrics._drain(), "RetrievalLatency"):
        assert len(datum["Values"]) == len(datum["Counts"]) <= 150
        found.update(dict(zip(datum["Values"], map(int, datum["Counts"]), strict=True)))
    assert found == sent
