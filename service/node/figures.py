"""What a node sees of itself: memory against machine and model, and how old its newest backup is."""

from __future__ import annotations

from pathlib import Path

from infra.sizing import Rows, chunk_bytes, index_bytes, measured_terms, total_bytes
from service.cloudwatch import CloudWatch, Datum
from service.node.replica import Replica

PROC = Path("/proc")


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
        return [
            value("MemoryUsed", "Percent", self._memory_used_percent()),
            value("FormulaDrift", "None", self._resident_bytes() / modelled_bytes(self._replica)),
            value("BackupAge", "Seconds", self._replica.backup_age_seconds),
        ]

    def _memory_used_percent(self) -> float:
        fields = _fields(self._proc / "meminfo")
        return 100 * (1 - fields["MemAvailable"] / fields["MemTotal"])

    def _resident_bytes(self) -> int:
        return _fields(self._proc / "self" / "status")["VmRSS"]


def modelled_bytes(replica: Replica) -> int:
    """What the measured model says that a node with this replica's rows holds, while no new base is loaded."""
    recipe, index = replica.shard.build.recipe, replica.index
    held = len(index.base) if index.base is not None else 0
    rows = Rows(max(1, held + index.delta_rows), replica.shard.dims, recipe.index.type, recipe.index.m)
    terms = measured_terms(rows, chunk_bytes=chunk_bytes(recipe.chunking.size))
    return total_bytes(terms) - index_bytes(rows)


def _fields(path: Path) -> dict[str, int]:
    """The lines of a file under /proc that give a size, in bytes."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
