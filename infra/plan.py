"""From a workload to shards, replicas and an instance type. Pure arithmetic: no Pulumi, no AWS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from infra.catalog import GIB, MIB, InstanceType
from infra.placement import Placement, place, replicas_needed, routers_needed
from infra.sizing import (
    MAX_VECTORS_PER_SHARD,
    Ram,
    Term,
    disagreement,
    measured_terms,
    ram,
    total_bytes,
)

GP3_BASE_MIBPS = 125  # included in the price of every gp3 volume
GP3_MAX_MIBPS = 1000
GP3_MIN_GIB = 20
MAX_CELLS = 450  # of the 500 Auto Scaling groups that AWS allows a region by default; routers and indexer need some
RESTORE_SHARE = 0.5  # of the recovery-time objective; the rest is detection, boot, load and canaries


class PlanError(ValueError):
    """No plan fits; the message is a sentence that says what does not fit and what to change."""


@dataclass(frozen=True)
class Workload:
    """What is asked for. `replica_queries_per_second` was measured on `replica_vcpus` vCPUs."""

    vectors: int
    dims: int
    peak_queries_per_second: float
    zones: tuple[str, ...]
    retrieval_p95_ms: float
    recovery_time_seconds: int
    m: int
    chunk_bytes: int
    replica_queries_per_second: float
    replica_vcpus: int
    minimum_shards: int = 1
    minimum_replicas: int = 2
    minimum_routers: int = 2
    router_queries_per_second: float = 500.0


@dataclass(frozen=True)
class Disk:
    """The gp3 volume of one cell: a cache that must be filled within the recovery-time objective."""

    size_gib: int
    throughput_mibps: int


SMALLEST_DISK = Disk(GP3_MIN_GIB, GP3_BASE_MIBPS)


@dataclass(frozen=True)
class Plan:
    """The sized fleet: `ram` and `terms` are for one copy of the collection, `shard_bytes` for one replica."""

    workload: Workload
    ram: Ram
    terms: tuple[Term, ...]
    note: str | None
    shards: int
    replicas: int
    routers: int
    instance_type: str
    usable_bytes: int
    shard_bytes: int
    disk: Disk
    placements: tuple[Placement, ...]

    def to_json(self) -> dict[str, object]:
        """Plain data with the keys the stack output `plan` and `python -m infra plan --json` carry."""
        return {
            "vectors": self.workload.vectors,
            "dims": self.workload.dims,
            "peak_queries_per_second": self.workload.peak_queries_per_second,
            "retrieval_p95_ms": self.workload.retrieval_p95_ms,
            "recovery_time_seconds": self.workload.recovery_time_seconds,
            "ram": asdict(self.ram),
            "measured": {
                "terms": [asdict(term) for term in self.terms],
                "total_bytes": total_bytes(self.terms),
            },
            "note": self.note,
            "shards": self.shards,
            "replicas": self.replicas,
            "routers": self.routers,
            "instance_type": self.instance_type,
            "usable_bytes": self.usable_bytes,
            "shard_bytes": self.shard_bytes,
            "disk": asdict(self.disk),
            "placements": [asdict(placement) for placement in self.placements],
        }


@dataclass(frozen=True)
class _Option:
    machine: InstanceType
    shards: int
    replicas: int

    @property
    def cells(self) -> int:
        return self.shards * self.replicas

    @property
    def usd_per_hour(self) -> float:
        return self.cells * self.machine.usd_per_hour


def make_plan(workload: Workload, machines: Sequence[InstanceType]) -> Plan:
    """
    The cheapest fleet of one instance type that holds the collection and its peak rate with one zone lost.

    Raises PlanError when none of the machines does, or when a region would not hold so many groups.
    """
    options = [option for machine in machines if (option := _option(workload, machine))]
    if not options:
        raise PlanError(_no_option(workload, machines))
    best = min(options, key=lambda option: (option.usd_per_hour, option.shards, option.machine.name))
    if best.cells > MAX_CELLS:
        raise PlanError(
            f"{workload.vectors:,} vectors of {workload.dims} dimensions need {best.cells:,} cells, each of them "
            f"an Auto Scaling group; a region allows 500 by default, and the program stops at {MAX_CELLS}. "
            f"Lower vectors, dims or minimumReplicas, or split the collection over several stacks."
        )
    return _describe(workload, best)


def shard_bytes(workload: Workload, shards: int) -> int:
    """Memory one replica needs with that many shards: the larger of formula and measured model."""
    vectors = math.ceil(workload.vectors / shards)
    formula = ram(vectors=vectors, dims=workload.dims).recommended_bytes
    return max(formula, total_bytes(_terms(workload, vectors)))


def _terms(workload: Workload, vectors: int) -> tuple[Term, ...]:
    return measured_terms(vectors=vectors, dims=workload.dims, m=workload.m, chunk_bytes=workload.chunk_bytes)


def _option(workload: Workload, machine: InstanceType) -> _Option | None:
    shards = _shards(workload, machine.usable_bytes)
    capacity = workload.replica_queries_per_second * machine.vcpus / workload.replica_vcpus
    replicas = replicas_needed(
        peak=workload.peak_queries_per_second, capacity=capacity, minimum=workload.minimum_replicas
    )
    if shards is None or replicas > len(workload.zones):
        return None
    return _Option(machine, shards, replicas)


def _shards(workload: Workload, usable_bytes: int) -> int | None:
    """The smallest count whose shards fit; None when what does not shrink with it is already too large."""
    fixed = shard_bytes(workload, workload.vectors)
    if fixed > usable_bytes:
        return None
    low = max(workload.minimum_shards, math.ceil(workload.vectors / MAX_VECTORS_PER_SHARD))
    high = max(low, workload.vectors)
    while low < high:
        middle = (low + high) // 2
        if shard_bytes(workload, middle) <= usable_bytes:
            high = middle
        else:
            low = middle + 1
    return low


def _no_option(workload: Workload, machines: Sequence[InstanceType]) -> str:
    names = ", ".join(machine.name for machine in machines)
    replicas = len(workload.zones)
    return (
        f"No instance type of [{names}] carries {workload.peak_queries_per_second:g} queries/s with one of "
        f"{replicas} zones lost: at most {replicas} replicas fit, one per zone, and each was measured at "
        f"{workload.replica_queries_per_second:g} queries/s on {workload.replica_vcpus} vCPUs. "
        f"Allow larger types (instanceTypes), add a zone, or lower minimumReplicas or peakQueriesPerSecond."
    )


def _disk(need_bytes: int, recovery_time_seconds: int) -> Disk:
    throughput = math.ceil(need_bytes / MIB / (recovery_time_seconds * RESTORE_SHARE))
    if throughput > GP3_MAX_MIBPS:
        raise PlanError(
            f"Restoring {need_bytes / GIB:.0f} GiB per shard within half of recoveryTimeSeconds = "
            f"{recovery_time_seconds} needs {throughput} MiB/s of disk; gp3 gives at most {GP3_MAX_MIBPS}. "
            f"Raise minimumShards or objectives.recoveryTimeSeconds."
        )
    return Disk(
        size_gib=max(GP3_MIN_GIB, math.ceil(2 * need_bytes / GIB) + 10),
        throughput_mibps=max(GP3_BASE_MIBPS, throughput),
    )


def _describe(workload: Workload, option: _Option) -> Plan:
    whole = ram(vectors=workload.vectors, dims=workload.dims)
    terms = _terms(workload, workload.vectors)
    need = shard_bytes(workload, option.shards)
    return Plan(
        workload=workload,
        ram=whole,
        terms=terms,
        note=disagreement(
            formula_bytes=whole.recommended_bytes,
            measured_bytes=total_bytes(terms),
            dims=workload.dims,
            m=workload.m,
        ),
        shards=option.shards,
        replicas=option.replicas,
        routers=routers_needed(
            peak=workload.peak_queries_per_second,
            capacity=workload.router_queries_per_second,
            zones=len(workload.zones),
            minimum=workload.minimum_routers,
        ),
        instance_type=option.machine.name,
        usable_bytes=option.machine.usable_bytes,
        shard_bytes=need,
        disk=_disk(need, workload.recovery_time_seconds),
        placements=place(option.shards, option.replicas, workload.zones),
    )
