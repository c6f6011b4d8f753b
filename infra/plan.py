"""From a workload to shards, replicas and an instance type. Pure arithmetic: no Pulumi, no AWS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from infra.catalog import GIB, InstanceType
from infra.placement import Placement, place, replicas_needed, router_zones, routers_needed
from infra.restore import Disk, Restore, needed_mibps, predict, smallest_disk, sustained_mibps
from infra.sizing import (
    MAX_VECTORS_PER_SHARD,
    IndexType,
    Ram,
    Rows,
    Term,
    disagreement,
    index_bytes,
    measured_terms,
    ram,
    text_term,
    total_bytes,
)

# 0.3 ms of a core for each search beside the walk, by `python -m benchmarks serving`, and some room.
LOOP_QUERIES_PER_SECOND = 2_500.0
MAX_CELLS = 450  # of the 500 Auto Scaling groups that AWS allows a region by default; routers and indexer need some
RUNNERS_UP = 5
REASONS = 2


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
    index: IndexType = "hnsw"

    def rows(self, shards: int = 1) -> Rows:
        """The rows of the largest of so many shards."""
        return Rows(math.ceil(self.vectors / shards), self.dims, self.index, self.m)


@dataclass(frozen=True)
class RunnerUp:
    """A type that was not chosen, and the sentence that rules it out; no shards and replicas where none would do."""

    instance_type: str
    reason: str
    shards: int | None = None
    replicas: int | None = None
    usd_per_hour: float | None = None


@dataclass(frozen=True)
class ZoneLoss:
    """What is left when a zone is gone; `queries_per_second` is what the worst-hit shard still carries."""

    zone: str
    cells_lost: int
    routers_lost: int
    replicas_left: int
    queries_per_second: float


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
    restore: Restore
    placements: tuple[Placement, ...]
    zone_losses: tuple[ZoneLoss, ...]
    runners_up: tuple[RunnerUp, ...]

    def to_json(self) -> dict[str, object]:
        """Plain data with the keys the stack output `plan` and `python -m infra plan --json` carry."""
        return {
            "vectors": self.workload.vectors,
            "dims": self.workload.dims,
            "index": self.workload.index,
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
            "restore": asdict(self.restore) | {"seconds": self.restore.seconds},
            "placements": [asdict(placement) for placement in self.placements],
            "zone_losses": [asdict(loss) for loss in self.zone_losses],
            "runners_up": [asdict(runner_up) for runner_up in self.runners_up],
        }


@dataclass(frozen=True)
class _Option:
    machine: InstanceType
    shards: int
    replicas: int
    shard_bytes: int
    disk: Disk

    @property
    def cells(self) -> int:
        return self.shards * self.replicas

    @property
    def usd_per_hour(self) -> float:
        return self.cells * self.machine.usd_per_hour

    @property
    def rank(self) -> tuple[float, int, str]:
        return self.usd_per_hour, self.cells, self.machine.name


def make_plan(workload: Workload, machines: Sequence[InstanceType]) -> Plan:
    """
    The cheapest fleet of one instance type that holds the collection and its peak rate with one zone lost, and
    restores a shard within its share of the recovery time; of equal prices the one with fewer cells.

    Raises PlanError when none of the machines does, or when a region would not hold so many groups.
    """
    judged = [_judge(workload, machine) for machine in machines]
    options = sorted((one for one in judged if isinstance(one, _Option)), key=lambda option: option.rank)
    refused = [one for one in judged if isinstance(one, RunnerUp)]
    if not options:
        raise PlanError(_no_option(workload, refused))
    best = options[0]
    if best.cells > MAX_CELLS:
        raise PlanError(
            f"{workload.vectors:,} vectors of {workload.dims} dimensions need {best.cells:,} cells, each of them "
            f"an Auto Scaling group; a region allows 500 by default, and the program stops at {MAX_CELLS}. "
            f"Lower vectors, dims or minimumReplicas, or split the collection over several stacks."
        )
    dearer = tuple(_dearer(option, best) for option in options[1:])
    return _describe(workload, best, (*dearer, *refused)[:RUNNERS_UP])


def shard_bytes(workload: Workload, shards: int) -> int:
    """Memory one replica needs with that many shards: the larger of formula and measured model."""
    rows = workload.rows(shards)
    formula = ram(vectors=rows.vectors, dims=rows.dims).recommended_bytes
    return max(formula, total_bytes(measured_terms(rows, chunk_bytes=workload.chunk_bytes)))


def snapshot_bytes(workload: Workload, shards: int) -> int:
    """What a replica downloads to be restored: one generation of its shard and the text of its rows."""
    rows = workload.rows(shards)
    return index_bytes(rows) + text_term(rows.vectors, workload.chunk_bytes).bytes


def _judge(workload: Workload, machine: InstanceType) -> _Option | RunnerUp:
    capacity = _capacity(workload, machine)
    replicas = replicas_needed(
        peak=workload.peak_queries_per_second, capacity=capacity, minimum=workload.minimum_replicas
    )
    if replicas > len(workload.zones):
        return RunnerUp(
            machine.name,
            f"{workload.peak_queries_per_second:g} queries/s need {replicas} replicas of {capacity:g} queries/s with "
            f"one zone lost, and {len(workload.zones)} zones hold one each",
        )
    shards = _shards(workload, machine)
    if shards is None:
        return RunnerUp(
            machine.name, f"one vector alone is too much for {machine.usable_bytes / GIB:.0f} GiB or the recovery time"
        )
    disk = smallest_disk(
        restore_bytes=snapshot_bytes(workload, shards), recovery_time_seconds=workload.recovery_time_seconds
    )
    return _Option(machine, shards, replicas, shard_bytes(workload, shards), disk)


def _capacity(workload: Workload, machine: InstanceType) -> float:
    """
    As measured, by vCPUs: a node walks its structures on all of them. What its one event loop does for each search
    bounds that, unless more was measured.
    """
    measured = workload.replica_queries_per_second
    return min(measured * machine.vcpus / workload.replica_vcpus, max(measured, LOOP_QUERIES_PER_SECOND))


def _dearer(option: _Option, best: _Option) -> RunnerUp:
    more = option.usd_per_hour / best.usd_per_hour - 1
    reason = f"{more:.0%} dearer" if more > 0 else f"the same price, {option.cells} cells instead of {best.cells}"
    return RunnerUp(option.machine.name, reason, option.shards, option.replicas, option.usd_per_hour)


def _fits(workload: Workload, machine: InstanceType, shards: int) -> bool:
    """Whether a shard has room in memory, and is back on disk within its share of the recovery time."""
    mibps = needed_mibps(
        restore_bytes=snapshot_bytes(workload, shards), recovery_time_seconds=workload.recovery_time_seconds
    )
    return shard_bytes(workload, shards) <= machine.usable_bytes and mibps <= sustained_mibps(machine)


def _shards(workload: Workload, machine: InstanceType) -> int | None:
    """The smallest count whose shards fit; None when what does not shrink with it is already too large."""
    low = max(workload.minimum_shards, math.ceil(workload.vectors / MAX_VECTORS_PER_SHARD))
    high = max(low, workload.vectors)
    if not _fits(workload, machine, high):
        return None
    while low < high:
        middle = (low + high) // 2
        if _fits(workload, machine, middle):
            high = middle
        else:
            low = middle + 1
    return low


def _no_option(workload: Workload, refused: Sequence[RunnerUp]) -> str:
    reasons = "; ".join(f"{one.instance_type}: {one.reason}" for one in refused[:REASONS])
    more = f"; and {len(refused) - REASONS} more" if len(refused) > REASONS else ""
    return (
        f"No instance type carries {workload.vectors:,} vectors of {workload.dims} dimensions at "
        f"{workload.peak_queries_per_second:g} queries/s ({reasons}{more}). Allow other types (instanceTypes), add a "
        f"zone, raise objectives.recoveryTimeSeconds, or lower minimumReplicas or peakQueriesPerSecond."
    )


def _describe(workload: Workload, option: _Option, runners_up: tuple[RunnerUp, ...]) -> Plan:
    whole = ram(vectors=workload.vectors, dims=workload.dims)
    terms = measured_terms(workload.rows(), chunk_bytes=workload.chunk_bytes)
    placements = place(option.shards, option.replicas, workload.zones)
    routers = routers_needed(
        peak=workload.peak_queries_per_second,
        capacity=workload.router_queries_per_second,
        zones=len(workload.zones),
        minimum=workload.minimum_routers,
    )
    return Plan(
        workload=workload,
        ram=whole,
        terms=terms,
        note=disagreement(workload.rows(), formula_bytes=whole.recommended_bytes, measured_bytes=total_bytes(terms)),
        shards=option.shards,
        replicas=option.replicas,
        routers=routers,
        instance_type=option.machine.name,
        usable_bytes=option.machine.usable_bytes,
        shard_bytes=option.shard_bytes,
        disk=option.disk,
        restore=predict(option.machine, option.disk, snapshot_bytes(workload, option.shards)),
        placements=placements,
        zone_losses=tuple(
            _zone_loss(zone, placements, router_zones(routers, workload.zones), option, workload)
            for zone in workload.zones
        ),
        runners_up=runners_up,
    )


def _zone_loss(
    zone: str, placements: Sequence[Placement], routers: Sequence[str], option: _Option, workload: Workload
) -> ZoneLoss:
    lost = [placement for placement in placements if placement.zone == zone]
    # A zone holds at most one replica of a shard.
    left = option.replicas - bool(lost)
    return ZoneLoss(zone, len(lost), list(routers).count(zone), left, left * _capacity(workload, option.machine))
