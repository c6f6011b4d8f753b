"""What is asked of a fleet, and what one process of it was measured to carry. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from infra.catalog import BY_NAME, InstanceType
from infra.placement import MAX_ROUTERS
from infra.prices import Services
from infra.restore import EC2_BOOT, Boot, Burden
from infra.sizing import (
    FLOAT32_BYTES,
    IndexType,
    Rows,
    Term,
    measured_terms,
    ram,
    text_term,
    total_bytes,
    written_entries,
    written_rows,
    written_terms,
)
from infra.snapshot import snapshot_bytes

ASSUMED = "assumed"
# 0.3 ms of a core for each search beside the walk, by `python -m benchmarks serving`, and some room.
LOOP_QUERIES_PER_SECOND = 2_500.0


@dataclass(frozen=True)
class Measured:
    """Queries per second that one process carries at the latency objective, on how many vCPUs, and who says so."""

    queries_per_second: float
    vcpus: int
    source: str = ASSUMED


@dataclass(frozen=True)
class Workload:
    """What is asked for, and what the fleet is paid for beside its cells. `shards` are those of a standing build."""

    vectors: int
    dims: int
    peak_queries_per_second: float
    zones: tuple[str, ...]
    retrieval_p95_ms: float
    recovery_time_seconds: int
    chunk_bytes: int
    replica: Measured
    router: Measured = Measured(500.0, 2)
    index: IndexType = "hnsw"
    m: int = 16
    lists: int = 0
    code_dims: int = 4
    shards: int | None = None
    minimum_shards: int = 1
    minimum_replicas: int = 2
    minimum_routers: int = 2
    maximum_routers: int = MAX_ROUTERS
    boot: Boot = EC2_BOOT
    services: Services = field(default_factory=Services)

    @property
    def router_queries_per_second(self) -> float:
        """A router is one process on one processor: a larger machine carries no more than the one that was measured."""
        machine = BY_NAME[self.services.router_type]
        return self.router.queries_per_second * min(1.0, machine.vcpus / self.router.vcpus)

    @property
    def budget_seconds(self) -> float:
        """What the objective leaves for all that depends on sizing."""
        return self.recovery_time_seconds - self.boot.seconds

    def replica_queries_per_second(self, machine: InstanceType) -> float:
        """
        As measured, by vCPUs: a node walks its structures on all of them. What its one event loop does for each search
        bounds that, unless more was measured.
        """
        measured = self.replica.queries_per_second
        return min(measured * machine.vcpus / self.replica.vcpus, max(measured, LOOP_QUERIES_PER_SECOND))

    def rows(self, shards: int = 1) -> Rows:
        """The rows of the largest of so many shards."""
        vectors = math.ceil(self.vectors / shards)
        return Rows(vectors, self.dims, self.index, self.m, self.lists, self.code_dims)

    def terms(self, shards: int = 1) -> tuple[Term, ...]:
        """The measured model of one node, at its worst moment: a next generation, and all that may be written since."""
        rows = self.rows(shards)
        return (
            *measured_terms(rows, chunk_bytes=self.chunk_bytes),
            *written_terms(rows, chunk_bytes=self.chunk_bytes),
        )

    def shard_bytes(self, shards: int) -> int:
        """Memory one replica needs with that many shards: the larger of formula and measured model."""
        formula = ram(vectors=self.rows(shards).vectors, dims=self.dims).recommended_bytes
        return max(formula, total_bytes(self.terms(shards)))

    def burden(self, shards: int) -> Burden:
        """What a replica of one of so many shards fetches to be back."""
        rows = self.rows(shards)
        written = written_rows(rows.vectors)
        return Burden(
            snapshot_bytes=snapshot_bytes(rows, chunk_bytes=self.chunk_bytes),
            log_bytes=written * self.dims * FLOAT32_BYTES + text_term(written, self.chunk_bytes).bytes,
            log_rows=written,
            log_entries=written_entries(rows.vectors),
        )

    @property
    def logs_bytes(self) -> int:
        """What lies in S3 besides snapshots when each row was written once: what was said, and each chunk's vector."""
        text = text_term(self.vectors, self.chunk_bytes).bytes
        return 2 * text + self.vectors * self.dims * FLOAT32_BYTES
