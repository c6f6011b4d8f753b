"""Metrics of a router for CloudWatch: searches and latencies, counts for alarms, and the age of the last drill."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from service.cloudwatch import CloudWatch, Datum
from service.storage.objects import NoSuchKey, ObjectStore, StoreError
from service.wire.messages import PASSED_DRILL_KEY, PassedDrill

DRILL_LOOK_SECONDS = 300.0

log = logging.getLogger(__name__)


class FleetMetrics:
    """Counts of searches since the last sending, and the counts by metric name that `seen` returns at each sending."""

    def __init__(self, cloudwatch: CloudWatch, seen: Callable[[], Mapping[str, int]]) -> None:
        self._cloudwatch = cloudwatch
        self._seen = seen
        self._latencies_ms: Counter[float] = Counter()
        self._requests = self._errors = self._partial = self._behind = 0

    def observe(self, latency_ms: float, *, complete: bool, partial: bool) -> None:
        """
        Count one search. A partial answer and no answer are both errors.

        The caller passes a search of shards that lag as complete, since lag has its own alarm.
        """
        self._latencies_ms[_rounded(latency_ms)] += 1
        self._requests += 1
        self._errors += not complete
        self._partial += partial

    def observe_behind(self) -> None:
        """Count a 503 for shards that lag behind the position that the request names."""
        self._behind += 1

    async def run(self) -> None:
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
    """Round to two significant digits: fine enough for a percentile, few enough values for one call."""
    return float(f"{latency_ms:.2g}")


class DrillAge:
    """The time since a drill last passed. Nothing is sent before the first one has, and the alarm rings on silence."""

    def __init__(self, cloudwatch: CloudWatch, store: ObjectStore) -> None:
        self._cloudwatch = cloudwatch
        self._store = store
        self._passed: PassedDrill | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_reading())
            tasks.create_task(self._cloudwatch.publish(self._collect))

    async def _keep_reading(self) -> None:
        while True:
            try:
                self._passed = await asyncio.to_thread(self._read)
            except (StoreError, msgspec.MsgspecError) as error:
                log.warning("the last drill could not be read", extra={"reason": str(error)})
            await asyncio.sleep(DRILL_LOOK_SECONDS)

    def _read(self) -> PassedDrill | None:
        try:
            return msgspec.json.decode(self._store.get(PASSED_DRILL_KEY).body, type=PassedDrill)
        except NoSuchKey:
            return None

    def _collect(self) -> list[Datum]:
        if self._passed is None:
            return []
        seconds = (self._store.clock.now_ms() - self._passed.at_ms) / 1000
        return [self._cloudwatch.value("DrillAge", "Seconds", max(0.0, seconds))]
