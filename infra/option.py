"""One instance type judged: the fewest shards that carry the workload on it, or why none do. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from infra.catalog import GIB, InstanceType
from infra.demand import Workload
from infra.placement import replicas_needed
from infra.prices import disk_usd, machine_usd
from infra.restore import Disk, in_time, smallest_disk
from infra.sizing import DELTA_ROWS, MAX_VECTORS_PER_SHARD

MAX_CELLS = 450  # of the 500 Auto Scaling groups that AWS allows a region by default; routers and indexer need some


@dataclass(frozen=True)
class Option:
    """A fleet of one type that would do."""

    machine: InstanceType
    shards: int
    replicas: int
    disk: Disk

    @property
    def cells(self) -> int:
        """Instances that hold vectors."""
        return self.shards * self.replicas

    @property
    def usd_per_month(self) -> float:
        """What the cells cost, disks included."""
        return self.cells * (machine_usd(self.machine.name) + disk_usd(self.disk))

    @property
    def rank(self) -> tuple[float, int, str]:
        """By it the options are sorted: cents, since sums differ in their last digits."""
        return round(self.usd_per_month, 2), self.cells, self.machine.name


@dataclass(frozen=True)
class Refused:
    """A type that carries the workload in no number, and the sentence that says why."""

    machine: InstanceType
    reason: str


def judge(workload: Workload, machine: InstanceType) -> Option | Refused:
    """The cheapest fleet of this type that has room, is back in time, and stays within a region's groups."""
    capacity = workload.replica_queries_per_second(machine)
    peak = workload.peak_queries_per_second
    replicas = replicas_needed(peak=peak, capacity=capacity, minimum=workload.minimum_replicas)
    if replicas > len(workload.zones):
        return Refused(
            machine,
            f"{peak:g} queries/s need {replicas:,} replicas of {capacity:g} queries/s with one zone lost, and "
            f"{len(workload.zones)} zones hold one each",
        )
    fewest = _fewest_shards(workload, machine)
    if fewest is None:
        return Refused(machine, _too_much(workload, machine))
    if fewest * replicas > MAX_CELLS:
        return Refused(
            machine,
            f"{workload.vectors:,} vectors need {fewest * replicas:,} cells, each of them an Auto Scaling group; a "
            f"region allows 500 by default, and the program stops at {MAX_CELLS}",
        )
    # One machine more costs more than all the throughput that the other disks then do without.
    return Option(machine, fewest, replicas, smallest_disk(workload.burden(fewest), workload.budget_seconds))


def _has_room(workload: Workload, machine: InstanceType, shards: int) -> bool:
    return workload.shard_bytes(shards) <= machine.usable_bytes


def _fits(workload: Workload, machine: InstanceType, shards: int) -> bool:
    return _has_room(workload, machine, shards) and in_time(machine, workload.burden(shards), workload.budget_seconds)


def _fewest_shards(workload: Workload, machine: InstanceType) -> int | None:
    """The smallest count whose shards fit, or the one that is given; None when they are too large."""
    low = max(workload.minimum_shards, math.ceil(workload.vectors / MAX_VECTORS_PER_SHARD))
    high = max(low, workload.vectors)
    if workload.shards is not None:
        return workload.shards if workload.shards >= low and _fits(workload, machine, workload.shards) else None
    if not _fits(workload, machine, high):
        return None
    while low < high:
        middle = (low + high) // 2
        if _fits(workload, machine, middle):
            high = middle
        else:
            low = middle + 1
    return low


def _too_much(workload: Workload, machine: InstanceType) -> str:
    """Why not even shards of one vector each would do, or those that are given."""
    if workload.shards is not None:
        return (
            f"{workload.shards} shards, as given, are too few: {workload.rows(workload.shards).vectors:,} vectors in "
            f"one are over {MAX_VECTORS_PER_SHARD:,}, over {machine.usable_bytes / GIB:.0f} GiB or not back in time"
        )
    least = f"a shard of one vector, with {DELTA_ROWS:,} rows written since, is too much for"
    if not _has_room(workload, machine, max(workload.minimum_shards, workload.vectors)):
        return f"{least} {machine.usable_bytes / GIB:.0f} GiB"
    whole, boot = workload.recovery_time_seconds, workload.boot.seconds
    return f"{least} the {whole} s of recovery time, of which {boot:g} s are boot"
