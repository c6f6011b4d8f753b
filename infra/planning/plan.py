"""The plan of a slot: shards, replicas, routers and an instance type for a workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial

from infra.configuration.settings import Settings, SlotSettings
from infra.facts.index_parameters import IndexType
from infra.facts.instance_types import (
    BY_NAME,
    GENERATOR_TYPE,
    INDEXER_TYPE,
    Disk,
    InstanceType,
    candidates,
    same_size,
)
from infra.planning.candidates import Candidate, RunnerUp, judge
from infra.planning.memory import Ram, Term, disagreement, ram, total_bytes
from infra.planning.recovery import Recovery, predict
from infra.planning.shard_size import ShardSize, documents_bytes, logs_bytes, shard_size
from infra.planning.workload import NO_SOURCES, MeasuredCapacity, Sources, Workload, router_type, workload
from infra.planning.zone_loss import MAX_ROUTERS, Placement, ZoneLoss, loss_of, place, router_zones, routers_needed

DEARER_SHOWN = 5
REJECTED_SHOWN = 3
REASONS = 2
SHOWN_SHARE = 0.01  # the least difference in price that is given in percent


class PlanError(ValueError):
    """No plan fits; the message names the limit and the values to change."""


@dataclass(frozen=True)
class Plan:
    """
    A sized slot: `ram` and `terms` are of the whole collection, `shard_bytes` of one replica, and `generation_bytes`
    and `logs_bytes` of all shards in S3, where the documents log has `documents_bytes`.
    """

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
    generation_bytes: int
    logs_bytes: int
    documents_bytes: int
    disk: Disk
    recovery: Recovery
    placements: tuple[Placement, ...]
    zone_losses: tuple[ZoneLoss, ...]
    runners_up: tuple[RunnerUp, ...]

    @property
    def cells(self) -> int:
        """Return the number of instances that hold vectors."""
        return self.shards * self.replicas

    @property
    def replica_queries_per_second(self) -> float:
        """Return the planned rate of one replica on its machine."""
        return self.workload.replica_queries_per_second(BY_NAME[self.instance_type])

    def to_json(self) -> dict[str, object]:
        """Return plain data, as it is in the stack output `plan` and in `vectorfleet plan --json`."""
        work = self.workload
        return {
            "vectors": work.vectors,
            "dims": work.dims,
            "index": work.index,
            "peak_queries_per_second": work.peak_queries_per_second,
            "retrieval_p95_ms": work.retrieval_p95_ms,
            "recovery_time_seconds": work.recovery_time_seconds,
            "ram": asdict(self.ram),
            "measured": {
                "terms": [asdict(term) for term in self.terms],
                "total_bytes": total_bytes(self.terms),
            },
            "note": self.note,
            "capacity": {
                "replica": _capacity(work.replica, self.replica_queries_per_second, self.instance_type),
                "router": _capacity(work.router, work.router_queries_per_second, work.services.router_type),
            },
            "shards": self.shards,
            "replicas": self.replicas,
            "routers": self.routers,
            "instance_type": self.instance_type,
            "usable_bytes": self.usable_bytes,
            "shard_bytes": self.shard_bytes,
            "disk": asdict(self.disk),
            "restore": self.recovery.to_json(),
            "placements": [asdict(placement) for placement in self.placements],
            "zone_losses": [asdict(loss) for loss in self.zone_losses],
            "runners_up": [asdict(runner_up) for runner_up in self.runners_up],
        }


Plans = Mapping[str, Plan]  # of a stack, by slot


def _capacity(measured: MeasuredCapacity, planned: float, instance_type: str) -> dict[str, object]:
    machine = {"instance_type": instance_type, "vcpus": BY_NAME[instance_type].vcpus}
    return {"queries_per_second": planned} | machine | {"measured": asdict(measured)}


def plans_for(settings: Settings, index: IndexType | None = None, sources: Sources = NO_SOURCES) -> Plans:
    """Plan each slot of a stack. Raises PlanError as `plan_for` does, with the slot if there are two."""
    return {one.slot: _named_plan(one, index, sources) for one in settings.deployed}


def _named_plan(settings: SlotSettings, index: IndexType | None, sources: Sources) -> Plan:
    try:
        return plan_for(settings, index, sources)
    except PlanError as error:
        raise PlanError(f"Slot {settings.slot}: {error}" if len(settings.slots.recipes) > 1 else str(error)) from None


def plan_for(settings: SlotSettings, index: IndexType | None = None, sources: Sources = NO_SOURCES) -> Plan:
    """Plan a slot, or the same slot with another index type. Raises PlanError when no candidate fits."""
    asked = workload(settings, sources)
    return make_plan(replace(asked, index=index or asked.index), candidates(settings.instance_types))


def types_by_role(settings: Settings, plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the instance types of each role in order of preference; `instanceTypes` restricts nodes alone."""
    return {
        "node": same_size(plan.instance_type, settings.instance_types),
        "router": same_size(router_type(settings)),
        "indexer": same_size(INDEXER_TYPE),
        "generator": same_size(GENERATOR_TYPE),
    }


def make_plan(workload: Workload, machines: Sequence[InstanceType]) -> Plan:
    """
    Choose the instance type whose cells and disks cost least. Of equal prices the one with fewer cells wins.

    The fleet holds the collection, carries the peak with one zone lost, and has a lost replica back in time. Raises
    PlanError when no type does, when boot alone takes too long, or when more routers are needed than allowed.
    """
    if workload.budget_seconds <= 0:
        raise PlanError(_no_time(workload))
    # Every machine is tried with many shard counts, and the size of a shard does not depend on the machine.
    size_of = cache(partial(shard_size, workload))
    judged = [judge(workload, machine, size_of) for machine in machines]
    ranked = sorted((one for one in judged if isinstance(one, Candidate)), key=lambda one: one.rank)
    rejected = [one for one in judged if isinstance(one, RunnerUp)]
    if not ranked:
        raise PlanError(_no_candidate(workload, rejected))
    routers = routers_needed(
        peak=workload.peak_queries_per_second,
        capacity=workload.router_queries_per_second,
        zones=len(workload.zones),
        minimum=workload.minimum_routers,
    )
    if routers > workload.maximum_routers:
        raise PlanError(_too_many_routers(workload, routers))
    dearer = [_dearer(one, ranked[0]) for one in ranked[1 : 1 + DEARER_SHOWN]]
    return _plan(workload, ranked[0], size_of(1), routers, (*dearer, *rejected[:REJECTED_SHOWN]))


def _no_time(workload: Workload) -> str:
    boot = workload.boot
    return (
        f"Detection, launch and installation of a lost replica take {boot.seconds:g} s ({boot.detect_seconds:g} + "
        f"{boot.launch_seconds:g} + {boot.install_seconds:g}), so no plan has it back in "
        f"{workload.recovery_time_seconds} s. Raise objectives.recoveryTimeSeconds above {boot.seconds:g}."
    )


def _no_candidate(workload: Workload, rejected: Sequence[RunnerUp]) -> str:
    reasons = "; ".join(f"{one.instance_type}: {one.reason}" for one in rejected[:REASONS])
    more = f"; and {len(rejected) - REASONS} more" if len(rejected) > REASONS else ""
    return (
        f"No instance type carries {workload.vectors:,} vectors of {workload.dims} dimensions at "
        f"{workload.peak_queries_per_second:g} queries/s ({reasons}{more}). Allow other types (instanceTypes), add a "
        f"zone, raise objectives.recoveryTimeSeconds, lower minimumReplicas or peakQueriesPerSecond, or split the "
        f"collection over several stacks."
    )


def _too_many_routers(workload: Workload, routers: int) -> str:
    return (
        f"{routers:,} routers are needed for {workload.peak_queries_per_second:g} queries/s at "
        f"{workload.router_queries_per_second:g} queries/s each with one zone lost, and at least "
        f"{workload.minimum_routers}; allowed are {workload.maximum_routers}. Raise maximumRouters, at most to "
        f"{MAX_ROUTERS}, lower peakQueriesPerSecond or minimumRouters, or measure capacityPerRouter."
    )


def _dearer(one: Candidate, best: Candidate) -> RunnerUp:
    more = one.usd_per_month / best.usd_per_month - 1
    price = f"{more:.0%} dearer" if more >= SHOWN_SHARE else f"less than {SHOWN_SHARE:.0%} dearer"
    if one.rank[0] == best.rank[0]:
        price = "the same price"
    cells = f", {one.cells} cells instead of {best.cells}" if one.cells != best.cells else ""
    return RunnerUp(one.machine.name, price + cells, one.shards, one.replicas, round(one.usd_per_month, 2))


def _plan(
    workload: Workload, chosen: Candidate, whole: ShardSize, routers: int, runners_up: tuple[RunnerUp, ...]
) -> Plan:
    machine, size = chosen.machine, chosen.size
    formula = ram(vectors=workload.vectors, dims=workload.dims)
    measured_bytes = total_bytes(whole.terms)
    placements = place(chosen.shards, chosen.replicas, workload.zones)
    spread = router_zones(routers, workload.zones)
    rates = workload.replica_queries_per_second(machine), workload.router_queries_per_second
    return Plan(
        workload=workload,
        ram=formula,
        terms=whole.terms,
        note=disagreement(whole.rows, formula_bytes=formula.recommended_bytes, measured_bytes=measured_bytes),
        shards=chosen.shards,
        replicas=chosen.replicas,
        routers=routers,
        instance_type=machine.name,
        usable_bytes=machine.usable_bytes,
        shard_bytes=size.memory_bytes,
        generation_bytes=chosen.shards * size.burden.snapshot_bytes,
        logs_bytes=logs_bytes(workload),
        documents_bytes=documents_bytes(workload),
        disk=chosen.disk,
        recovery=predict(machine, chosen.disk, size.burden, workload.boot),
        placements=placements,
        zone_losses=tuple(
            loss_of(zone, placements, spread, replicas=chosen.replicas, rates=rates) for zone in workload.zones
        ),
        runners_up=runners_up,
    )
