"""Candidates for a fleet: for each instance type the fewest shards that fit, or the reason for its rejection. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from infra.facts.instance_types import GIB, Disk, InstanceType
from infra.facts.service_prices import disk_usd, machine_usd
from infra.planning.memory import DELTA_ROWS
from infra.planning.recovery import in_time, smallest_disk
from infra.planning.shard_size import MAX_VECTORS_PER_SHARD, ShardSize
from infra.planning.workload import Workload
from infra.planning.zone_loss import replicas_needed

# AWS allows 500 Auto Scaling groups in a region by default; routers and indexer need some of them.
MAX_CELLS = 450

SizeOf = Callable[[int], ShardSize]


@dataclass(frozen=True)
class Candidate:
    """A fleet of one instance type that carries the workload."""

    machine: InstanceType
    shards: int
    replicas: int
    size: ShardSize
    disk: Disk

    @property
    def cells(self) -> int:
        """Return the number of instances that hold vectors."""
        return self.shards * self.replicas

    @property
    def usd_per_month(self) -> float:
        """Return the price of the cells with their disks."""
        return self.cells * (machine_usd(self.machine.name) + disk_usd(self.disk))

    @property
    def rank(self) -> tuple[float, int, str]:
        """Return the sort key. It has whole cents, since equal sums may differ in their last digits."""
        return round(self.usd_per_month, 2), self.cells, self.machine.name


@dataclass(frozen=True)
class RunnerUp:
    """An instance type that was not chosen, with the reason; without shards where no number of it would do."""

    instance_type: str
    reason: str
    shards: int | None = None
    replicas: int | None = None
    usd_per_month: float | None = None


def judge(workload: Workload, machine: InstanceType, size_of: SizeOf) -> Candidate | RunnerUp:
    """Return the cheapest fleet of this type that fits in memory, in the recovery time and in a region's groups."""
    capacity = workload.replica_queries_per_second(machine)
    peak = workload.peak_queries_per_second
    replicas = replicas_needed(peak=peak, capacity=capacity, minimum=workload.minimum_replicas)
    if replicas > len(workload.zones):
        return RunnerUp(
            machine.name,
            f"{peak:g} queries/s need {replicas:,} replicas of {capacity:g} queries/s with one zone lost, and "
            f"{len(workload.zones)} zones hold one each",
        )
    shards = _fewest_shards(workload, machine, size_of)
    if shards is None:
        return RunnerUp(machine.name, _too_large(workload, machine, size_of))
    if shards * replicas > MAX_CELLS:
        return RunnerUp(
            machine.name,
            f"{workload.vectors:,} vectors need {shards * replicas:,} cells, each of them an Auto Scaling group; a "
            f"region allows 500 by default, and the program stops at {MAX_CELLS}",
        )
    # More shards would allow slower disks, but one more machine costs more than all of that throughput.
    size = size_of(shards)
    return Candidate(machine, shards, replicas, size, smallest_disk(size.burden, workload.budget_seconds))


def _fewest_shards(workload: Workload, machine: InstanceType, size_of: SizeOf) -> int | None:
    """Return the smallest number of shards that fit, or the given number; None where they are too large."""

    def fits(shards: int) -> bool:
        size = size_of(shards)
        return size.memory_bytes <= machine.usable_bytes and in_time(machine, size.burden, workload.budget_seconds)

    low = max(workload.minimum_shards, math.ceil(workload.vectors / MAX_VECTORS_PER_SHARD))
    if workload.shards is not None:
        return workload.shards if workload.shards >= low and fits(workload.shards) else None
    high = max(low, workload.vectors)
    return low + bisect_left(range(low, high), True, key=fits) if fits(high) else None


def _too_large(workload: Workload, machine: InstanceType, size_of: SizeOf) -> str:
    """Return the reason for which the given shards, or even shards of one vector, do not fit."""
    gib = f"{machine.usable_bytes / GIB:.0f} GiB"
    if workload.shards is not None:
        return (
            f"{workload.shards} shards, as given, are too few: {size_of(workload.shards).rows.vectors:,} vectors in "
            f"one are over {MAX_VECTORS_PER_SHARD:,}, over {gib} or not back in time"
        )
    least = f"a shard of one vector, with {DELTA_ROWS:,} rows written since, is too much for"
    if size_of(max(workload.minimum_shards, workload.vectors)).memory_bytes > machine.usable_bytes:
        return f"{least} {gib}"
    whole, boot = workload.recovery_time_seconds, workload.boot.seconds
    return f"{least} the {whole} s of recovery time, of which {boot:g} s are boot"
