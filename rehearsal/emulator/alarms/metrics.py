"""Metric data by metric and second, with the values that percentiles need."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

RETENTION_SECONDS = 3 * 3600
SIMPLE = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
_PERCENTILE = re.compile(r"^p(\d{1,2}(\.\d{1,10})?|100(\.0+)?)$")


@dataclass(frozen=True, order=True)
class Metric:
    """Identity of a metric; dimensions are sorted (name, value) pairs. Its unit is not part of it here."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Iterable[Mapping[str, str]]) -> Metric:
        """Make a metric from the API's list of {"Name", "Value"}."""
        return cls(namespace, name, tuple(sorted((d["Name"], d["Value"]) for d in dimensions)))


def percentile_of(statistic: str) -> float | None:
    """Return 95.0 for `p95`, None for a simple statistic. Raises ValueError for anything else."""
    if statistic in SIMPLE:
        return None
    if not _PERCENTILE.match(statistic):
        raise ValueError(f"statistic {statistic!r} is unknown; use {', '.join(SIMPLE)} or a percentile such as p95.")
    return float(statistic[1:])


@dataclass
class Summary:
    """The samples of a span of time, as far as statistics need them."""

    count: float = 0.0
    total: float = 0.0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    values: dict[float, float] = field(default_factory=dict)
    exact: bool = True

    def add(self, value: float, count: float = 1.0) -> None:
        self.add_set(count, value * count, value, value)

    def add_set(self, count: float, total: float, minimum: float, maximum: float) -> None:
        """Add a statistic set. It rules out percentiles unless all its samples have the same value."""
        if count <= 0:
            return
        self.count += count
        self.total += total
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        if minimum == maximum:
            self.values[minimum] = self.values.get(minimum, 0.0) + count
        else:
            self.exact = count == 1 and self.exact

    def merge(self, other: Summary) -> None:
        self.count += other.count
        self.total += other.total
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        self.exact = self.exact and other.exact
        for value, count in other.values.items():
            self.values[value] = self.values.get(value, 0.0) + count

    def percentile(self, percent: float) -> float | None:
        """Return the nearest rank: the smallest value that `percent` % of the samples do not exceed."""
        if not self.exact or not self.values:
            return None
        rank = percent / 100 * self.count
        reached = 0.0
        for value in sorted(self.values):
            reached += self.values[value]
            if reached >= rank - 1e-9:
                return value
        return self.maximum

    def statistic(self, name: str) -> float | None:
        """Return a statistic by its CloudWatch name; None without samples, or for an unknown percentile."""
        percent = percentile_of(name)
        if self.count <= 0:
            return None
        if percent is not None:
            return self.percentile(percent)
        known = {"Sum": self.total, "Minimum": self.minimum, "Maximum": self.maximum, "SampleCount": self.count}
        return known.get(name, self.total / self.count)


def summarise(datum: Mapping[str, Any]) -> Summary:
    """Summarise one PutMetricData entry: Value, Values with Counts, or StatisticValues."""
    summary = Summary()
    if datum.get("Values"):
        counts = datum.get("Counts") or [1.0] * len(datum["Values"])
        for value, count in zip(datum["Values"], counts, strict=True):
            summary.add(float(value), float(count))
    elif stats := datum.get("StatisticValues"):
        names = ("SampleCount", "Sum", "Minimum", "Maximum")
        summary.add_set(*(float(stats[name]) for name in names))
    else:
        summary.add(float(datum.get("Value", 0.0)))
    return summary


class Store:
    """All metric data of the last three hours; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[Metric, dict[int, Summary]] = {}

    def put(self, metric: Metric, at_seconds: float, samples: Summary) -> None:
        """Add samples at an instant (Unix time)."""
        second = int(at_seconds)
        with self._lock:
            series = self._seconds.setdefault(metric, {})
            if second in series:
                series[second].merge(samples)
                return
            series[second] = samples
            for old in [key for key in series if key < second - RETENTION_SECONDS]:
                del series[old]

    def summaries(self, metric: Metric, starts: Sequence[int], period_seconds: int) -> dict[int, Summary]:
        """Return the samples of each period [start, start + period) that has any."""
        found: dict[int, Summary] = {}
        with self._lock:
            series = self._seconds.get(metric, {})
            for start in starts:
                for second in range(start, start + period_seconds):
                    if second in series:
                        found.setdefault(start, Summary()).merge(series[second])
        return found

    def known(self, metric: Metric) -> bool:
        return metric in self._seconds
