"""What a node sees of itself: memory against machine and model, and how old its newest backup is."""

from __future__ import annotations

from pathlib import Path

from service.cloudwatch import CloudWatch, Datum
from service.node.replica import Replica
from service.node.room import PROC, memory_percent, modelled_bytes, sizes


class NodeMetrics:
    """Sends a replica's figures; `proc` is where the kernel shows them."""

    def __init__(self, cloudwatch: CloudWatch, replica: Replica, proc: Path = PROC) -> None:
        self._cloudwatch = cloudwatch
        self._replica = replica
        self._proc = proc

    async def run(self) -> None:
        """Send, for ever."""
        await self._cloudwatch.publish(self.collect)

    def collect(self) -> list[Datum]:
        """The figures of this moment."""
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
        return modelled_bytes(self._replica.index.sized)
