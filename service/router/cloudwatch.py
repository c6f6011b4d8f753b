"""The figures that alarms watch, sent to CloudWatch as values with counts, so that percentiles can be taken."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from service.storage.objects import aws_client

NAMESPACE = "vectorfleet"
VALUES_PER_DATUM = 150
HIGH_RESOLUTION_BELOW_SECONDS = 60

log = logging.getLogger(__name__)


class FleetMetrics:
    """Collects searches and sends them twice per alarm period, with exactly the dimensions Fleet and Slot."""

    def __init__(self, *, fleet: str, slot: str, period_seconds: int, stale: Callable[[], int]) -> None:
        """`stale` counts the replicas that stand still before a log entry, as this router sees them."""
        self._dimensions = [{"Name": "Fleet", "Value": fleet}, {"Name": "Slot", "Value": slot}]
        self._period_seconds = period_seconds
        self._stale = stale
        self._latencies_ms: Counter[float] = Counter()
        self._requests = self._errors = self._partial = 0
        self._client = aws_client("cloudwatch")

    def observe(self, latency_ms: float, *, complete: bool, partial: bool) -> None:
        """One search: what isn't a complete answer is an error, whether it was partial or none at all."""
        self._latencies_ms[_rounded(latency_ms)] += 1
        self._requests += 1
        self._errors += not complete
        self._partial += partial

    async def run(self) -> None:
        """Send what was collected, for ever."""
        while True:
            await asyncio.sleep(self._period_seconds / 2)
            data = self._drain()
            try:
                await asyncio.to_thread(self._client.put_metric_data, Namespace=NAMESPACE, MetricData=data)
            except (ClientError, BotoCoreError) as error:
                log.warning("metrics could not be sent", extra={"reason": str(error)})

    def _drain(self) -> list[dict[str, Any]]:
        counts = {
            "Requests": self._requests,
            "Errors": self._errors,
            "PartialAnswers": self._partial,
            "StaleReplicas": self._stale(),
        }
        latencies, self._latencies_ms = self._latencies_ms, Counter()
        self._requests = self._errors = self._partial = 0
        data = [self._datum(name, "Count", {"Value": float(value)}) for name, value in counts.items()]
        pairs = sorted(latencies.items())
        for first in range(0, len(pairs), VALUES_PER_DATUM):
            block = pairs[first : first + VALUES_PER_DATUM]
            values = {"Values": [value for value, _ in block], "Counts": [float(count) for _, count in block]}
            data.append(self._datum("RetrievalLatency", "Milliseconds", values))
        return data

    def _datum(self, name: str, unit: str, values: dict[str, Any]) -> dict[str, Any]:
        resolution = 1 if self._period_seconds < HIGH_RESOLUTION_BELOW_SECONDS else 60
        return {
            "MetricName": name,
            "Dimensions": self._dimensions,
            "Unit": unit,
            "StorageResolution": resolution,
            **values,
        }


def _rounded(latency_ms: float) -> float:
    """Two significant digits: fine enough for a percentile, few enough values for one call."""
    return float(f"{latency_ms:.2g}")
