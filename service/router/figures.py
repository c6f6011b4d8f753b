"""What a router counts and sees: searches and their latencies, and which replicas are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from service.cloudwatch import CloudWatch, Datum


class FleetMetrics:
    """Collects searches, and with each sending the `seen` counts of the moment, by metric name."""

    def __init__(self, cloudwatch: CloudWatch, seen: Callable[[], Mapping[str, int]]) -> None:
        self._cloudwatch = cloudwatch
        self._seen = seen
        self._latencies_ms: Counter[float] = Counter()
        self._requests = self._errors = self._partial = self._behind = 0

    def observe(self, latency_ms: float, *, complete: bool, partial: bool) -> None:
        """
        Count one search. What isn't a complete answer is an error, whether it was partial or none at all; the caller
        passes one that waits for shards that lag as complete, since that has an alarm of its own.
        """
        self._latencies_ms[_rounded(latency_ms)] += 1
        self._requests += 1
        self._errors += not complete
        self._partial += partial

    def observe_behind(self) -> None:
        """Count one request that was answered with a 503 because shards lag behind the position that it asked for."""
        self._behind += 1

    async def run(self) -> None:
        """Send what was collected, for ever."""
        await self._cloudwatch.publish(self._drain)

    def _drain(self) -> list[Datum]:
        counts = {
            "Requests": self._requests,
            "Errors": self._errors,
            "PartialAnswers": self._partial,
            "BehindAnswers": self._behind,
            **self._seen(),
        }
        latencies, self._latencies_ms = self._latencies_ms, Counter()
        self._requests = self._errors = self._partial = self._behind = 0
        data = [self._cloudwatch.value(name, "Count", value) for name, value in counts.items()]
        return [*data, *self._cloudwatch.values("RetrievalLatency", "Milliseconds", latencies)]


def _rounded(latency_ms: float) -> float:
    """Two significant digits: fine enough for a percentile, few enough values for one call."""
    return float(f"{latency_ms:.2g}")
