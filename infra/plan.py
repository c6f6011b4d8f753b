"""From a workload to shards, replicas and an instance type. Pure arithmetic: no Pulumi, no AWS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from infra.catalog import BY_NAME, InstanceType
from infra.demand import Measured, Workload
from infra.option import Option, Refused, judge
from infra.placement import MAX_ROUTERS, Placement, place, router_zones, routers_needed
from infra.restore import Disk, Restore, predict
from infra.sizing import Ram, Term, disagreement, ram, total_bytes

DEARER_SHOWN = 5
REFUSED_SHOWN = 3
REASONS = 2
SHOWN_SHARE = 0.01  # a difference in price that is given in percent


class PlanError(ValueError):
    """No plan fits; the message is a sentence that says what does not fit and what to change."""


@dataclass(frozen=True)
class RunnerUp:
    """A type that was not chosen, and the sentence that rules it out; no shards and replicas where none would do."""

    instance_type: str
    reason: str
    shards: int | None = None
    replicas: int | None = None
    usd_per_month: float | None = None


@dataclass(frozen=True)
class ZoneLoss:
    """What is left when a zone is gone; `queries_per_second` is what a shard it hits and all routers still carry."""

    zone: str
    cells_lost: int
    routers_lost: int
    replicas_left: int
    queries_per_second: float


@dataclass(frozen=True)
class Plan:
    """
    The sized fleet: `ram` and `terms` are for one copy of the collection, `shard_bytes` for one replica, and
    `generation_bytes` and `logs_bytes` what lies in S3 of all shards.
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
    disk: Disk
    restore: Restore
    placements: tuple[Placement, ...]
    zone_losses: tuple[ZoneLoss, ...]
    runners_up: tuple[RunnerUp, ...]

    @property
    def cells(self) -> int:
        """Instances that hold vectors."""
        return self.shards * self.replicas

    @property
    def replica_queries_per_second(self) -> float:
        """What one replica is planned to carry on its machine."""
        return self.workload.replica_queries_per_second(BY_NAME[self.instance_type])

    def to_json(self) -> dict[str, object]:
        """Plain data with the keys the stack output `plan` and `python -m infra plan --json` carry."""
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
                "replica": _carried(work.replica, self.replica_queries_per_second, self.instance_type),
                "router": _carried(work.router, work.router_queries_per_second, work.services.router_type),
            },
            "shards": self.shards,
            "replicas": self.replicas,
            "routers": self.routers,
            "instance_type": self.instance_type,
            "usable_bytes": self.usable_bytes,
            "shard_bytes": self.shard_bytes,
            "disk": asdict(self.disk),
            "restore": self.restore.to_json(),
            "placements": [asdict(placement) for placement in self.placements],
            "zone_losses": [asdict(loss) for loss in self.zone_losses],
            "runners_up": [asdict(runner_up) for runner_up in self.runners_up],
        }


def _carried(measured: Measured, planned: float, instance_type: str) -> dict[str, object]:
    machine = {"instance_type": instance_type, "vcpus": BY_NAME[instance_type].vcpus}
    return {"queries_per_second": planned} | machine | {"measured": asdict(measured)}


def make_plan(workload: Workload, machines: Sequence[InstanceType]) -> Plan:
    """
    The fleet of one instance type whose cells and disks cost least, that holds the collection and its peak rate with
    one zone lost, and has a lost replica back within the recovery time; of equal prices the one with fewer cells.

    Raises PlanError when none of the machines does, when no replica boots in that time, or when more routers would be
    needed than are allowed.
    """
    if workload.budget_seconds <= 0:
        raise PlanError(_no_time(workload))
    judged = [judge(workload, machine) for machine in machines]
    options = sorted((one for one in judged if isinstance(one, Option)), key=lambda option: option.rank)
    refused = [one for one in judged if isinstance(one, Refused)]
    if not options:
        raise PlanError(_no_option(workload, refused))
    routers = _routers(workload)
    if routers > workload.maximum_routers:
        raise PlanError(_too_many_routers(workload, routers))
    best = options[0]
    dearer = [_dearer(option, best) for option in options[1 : 1 + DEARER_SHOWN]]
    others = [RunnerUp(one.machine.name, one.reason) for one in refused[:REFUSED_SHOWN]]
    return _describe(workload, best, routers, (*dearer, *others))


def _routers(workload: Workload) -> int:
    return routers_needed(
        peak=workload.peak_queries_per_second,
        capacity=workload.router_queries_per_second,
        zones=len(workload.zones),
        minimum=workload.minimum_routers,
    )


def _no_time(workload: Workload) -> str:
    boot = workload.boot
    return (
        f"A lost replica is detected, launched and installed in {boot.seconds:g} s ({boot.detect_seconds:g} + "
        f"{boot.launch_seconds:g} + {boot.install_seconds:g}), before it has fetched anything, so no plan has it back "
        f"in {workload.recovery_time_seconds} s. Raise objectives.recoveryTimeSeconds above {boot.seconds:g}."
    )


def _no_option(workload: Workload, refused: Sequence[Refused]) -> str:
    reasons = "; ".join(f"{one.machine.name}: {one.reason}" for one in refused[:REASONS])
    more = f"; and {len(refused) - REASONS} more" if len(refused) > REASONS else ""
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


def _dearer(option: Option, best: Option) -> RunnerUp:
    return RunnerUp(
        option.machine.name,
        _why_dearer(option, best),
        option.shards,
        option.replicas,
        round(option.usd_per_month, 2),
    )


def _why_dearer(option: Option, best: Option) -> str:
    more = option.usd_per_month / best.usd_per_month - 1
    cells = f", {option.cells} cells instead of {best.cells}" if option.cells != best.cells else ""
    if option.rank[0] == best.rank[0]:
        return f"the same price{cells}"
    return f"{more:.0%} dearer{cells}" if more >= SHOWN_SHARE else f"less than {SHOWN_SHARE:.0%} dearer{cells}"


def _describe(workload: Workload, option: Option, routers: int, runners_up: tuple[RunnerUp, ...]) -> Plan:
    whole, terms = ram(vectors=workload.vectors, dims=workload.dims), workload.terms()
    placements = place(option.shards, option.replicas, workload.zones)
    burden = workload.burden(option.shards)
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
        shard_bytes=workload.shard_bytes(option.shards),
        generation_bytes=option.shards * burden.snapshot_bytes,
        logs_bytes=workload.logs_bytes,
        disk=option.disk,
        restore=predict(option.machine, option.disk, burden, workload.boot),
        placements=placements,
        zone_losses=_zone_losses(workload, option, placements, routers),
        runners_up=runners_up,
    )


def _zone_losses(
    workload: Workload, option: Option, placements: Sequence[Placement], routers: int
) -> tuple[ZoneLoss, ...]:
    stand = router_zones(routers, workload.zones)
    return tuple(
        _zone_loss(zone, placements, stand.count(zone), option=option, routers=routers, workload=workload)
        for zone in workload.zones
    )


def _zone_loss(
    zone: str,
    placements: Sequence[Placement],
    routers_lost: int,
    *,
    option: Option,
    routers: int,
    workload: Workload,
) -> ZoneLoss:
    cells_lost = sum(placement.zone == zone for placement in placements)
    # A zone holds at most one replica of a shard.
    left = option.replicas - bool(cells_lost)
    nodes = left * workload.replica_queries_per_second(option.machine)
    carried = min(nodes, (routers - routers_lost) * workload.router_queries_per_second)
    return ZoneLoss(zone, cells_lost, routers_lost, left, carried)
