"""Metrics for CloudWatch: sent twice per alarm period, with exactly the dimensions of the alarms."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.facts.slo import NAMESPACE
from service.storage.objects import aws_client

VALUES_PER_DATUM = 150
HIGH_RESOLUTION_BELOW_SECONDS = 60

Datum = dict[str, Any]

log = logging.getLogger(__name__)


class CloudWatch:
    """One slot's metrics: every datum has the dimensions Fleet and Slot, and Shard if it is about a shard."""

    def __init__(self, *, fleet: str, slot: str, period_seconds: int) -> None:
        self._dimensions = [{"Name": "Fleet", "Value": fleet}, {"Name": "Slot", "Value": slot}]
        self._period_seconds = period_seconds
        self._client = aws_client("cloudwatch")

    async def publish(self, collect: Callable[[], Sequence[Datum]]) -> None:
        while True:
            await asyncio.sleep(self._period_seconds / 2)
            data = list(collect())
            try:
                await asyncio.to_thread(self.send, data)
            except (ClientError, BotoCoreError) as error:
                log.warning("metrics could not be sent", extra={"reason": str(error)})

    def value(self, name: str, unit: str, value: float, shard: int | None = None) -> Datum:
        """Return the datum of one value, of the whole slot or of one shard."""
        datum = self._datum(name, unit, {"Value": float(value)})
        if shard is not None:
            datum["Dimensions"] = [*self._dimensions, {"Name": "Shard", "Value": str(shard)}]
        return datum

    def send(self, data: Sequence[Datum]) -> None:
        """Send data now; blocks."""
        self._client.put_metric_data(Namespace=NAMESPACE, MetricData=list(data))

    def values(self, name: str, unit: str, counts: Mapping[float, int]) -> list[Datum]:
        """Return data of many values and their counts, as many data as CloudWatch's limit requires."""
        pairs = sorted(counts.items())
        blocks = [pairs[first : first + VALUES_PER_DATUM] for first in range(0, len(pairs), VALUES_PER_DATUM)]
        return [
            self._datum(name, unit, {"Values": [v for v, _ in block], "Counts": [float(count) for _, count in block]})
            for block in blocks
        ]

    def _datum(self, name: str, unit: str, values: Mapping[str, Any]) -> Datum:
        resolution = 1 if self._period_seconds < HIGH_RESOLUTION_BELOW_SECONDS else 60
        return {
            "MetricName": name,
            "Dimensions": self._dimensions,
            "Unit": unit,
            "StorageResolution": resolution,
            **values,
        }
