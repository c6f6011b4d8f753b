"""CloudWatch metrics of a node: memory against machine and model, recall, and the age of its newest backup."""

from __future__ import annotations

from pathlib import Path

from service.cloudwatch import CloudWatch, Datum
from service.node.memory import PROC, memory_percent, modelled_bytes, sizes
from service.node.replica import Replica


class NodeMetrics:
    """The metrics of a replica, read from the kernel's files below `proc`."""

    def __init__(self, cloudwatch: CloudWatch, replica: Replica, proc: Path = PROC) -> None:
        self._cloudwatch = cloudwatch
        self._replica = replica
        self._proc = proc

    async def run(self) -> None:
        """Send metrics, for ever."""
        await self._cloudwatch.publish(self.collect)

    def collect(self) -> list[Datum]:
        """Return the metrics of this moment."""
        value = self._cloudwatch.value
        recall = self._replica.recall.mean
        return [
            *([] if recall is None else [value("Recall", "None", recall)]),
            value("MemoryUsed", "Percent", memory_percent(self._proc)),
            value("FormulaDrift", "None", self._resident_bytes() / self._modelled_bytes()),
            value("BackupAge", "Seconds", self._replica.backup_age_seconds),
        ]

    def _resident_bytes(self) -> int:
        return sizes(self._proc / "self" / "status")["VmRSS"]

    def _modelled_bytes(self) -> int:
        return modelled_bytes(self._replica.index.sizes)
