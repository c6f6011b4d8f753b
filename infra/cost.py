"""What a plan costs each month at dated list prices, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from infra.alarm_table import OBJECTIVES, OPERATIONS, Alarm, launch_failures, replication_failed, replication_late
from infra.catalog import GIB, INDEXER_TYPE, PRICES_AS_OF, PRICES_REGION
from infra.plan import Plan
from infra.prices import HOURS_PER_MONTH, Services, disk_usd, machine_usd
from infra.restore import SMALLEST_DISK, Disk

CURRENCY = "USD"
# us-east-1 list prices of the day infra.catalog.PRICES_AS_OF names, by the pricing pages of S3, ELB, PrivateLink,
# VPC, CloudWatch and KMS.
S3_USD_PER_GIB_MONTH = 0.023
BALANCER_USD_PER_HOUR = 0.0225
ADDRESS_USD_PER_HOUR = 0.005  # a public IPv4 address, of which a balancer has one in each zone
ENDPOINT_USD_PER_ZONE_HOUR = 0.01
ALARM_METRIC_USD_PER_MONTH = 0.10
FAST_ALARM_METRIC_USD_PER_MONTH = 0.30  # of an alarm with a period below a minute
FAST_BELOW_SECONDS = 60
METRIC_USD_PER_MONTH = 0.30  # one of ours, of an instance's detailed monitoring, or of a replication rule
KEY_USD_PER_MONTH = 1.0
TRANSFER_USD_PER_GIB = 0.02  # from one region to another
REPLICATION_TIME_USD_PER_GIB = 0.015  # S3's replication time control
KEYS = 2  # for data and for operations, in each region
METRICS_PER_INSTANCE = 7  # of detailed monitoring
SERVICE_METRICS = 18  # what routers, nodes and every start send with one set of dimensions; docs/service.md lists them
SHARD_METRICS = 2  # what routers send of each shard
AGENT_METRICS = 3  # memory used, of nodes, routers and indexer
RULES = ("documents-log", "index-builds", "index-slots")  # by which the vault is filled
METRICS_PER_RULE = 4  # pending bytes and operations, failed ones, latency
SNAPSHOT_GENERATIONS = 3  # that the bill assumes to lie in S3; nothing deletes one

# Depends on use, or is somebody else's, or is started by hand.
NOT_INCLUDED = "without traffic, requests, log lines and models elsewhere; load generators are started by hand"


@dataclass(frozen=True)
class Line:
    """One row of the bill: what, how many of it, US dollars per month."""

    item: str
    quantity: str
    usd_per_month: float


def lines(plan: Plan) -> tuple[Line, ...]:
    """The monthly bill; NOT_INCLUDED says what it leaves out."""
    return (*_machines(plan), *_network(plan), *_storage(plan), *_watching(plan), _keys(plan.workload.services))


def total(bill: Sequence[Line]) -> float:
    """US dollars per month."""
    return sum(line.usd_per_month for line in bill)


def described(plan: Plan) -> dict[str, object]:
    """A plan and its bill as plain data: the stack output `plan`, and `python -m infra plan --json`."""
    return {**plan.to_json(), "bill": to_json(lines(plan))}


def to_json(bill: Sequence[Line]) -> dict[str, object]:
    """Plain data, with what the figures rest on."""
    return {
        "lines": [asdict(line) | {"usd_per_month": round(line.usd_per_month, 2)} for line in bill],
        "total_usd_per_month": round(total(bill), 2),
        "currency": CURRENCY,
        "prices_as_of": PRICES_AS_OF.isoformat(),
        "prices_region": PRICES_REGION,
        "not_included": NOT_INCLUDED,
    }


def _machines(plan: Plan) -> tuple[Line, ...]:
    services, disk = plan.workload.services, plan.disk
    others = plan.routers + 1
    hours = ", as if it ran all hours; a batch takes fewer" if services.batch else ""
    return (
        _machine("cells", plan.cells, plan.instance_type),
        _machine("routers", plan.routers, services.router_type),
        _machine("indexer", 1, INDEXER_TYPE, hours),
        _disks("cell disks", plan.cells, disk),
        _disks("router and indexer disks", others, SMALLEST_DISK),
    )


def _machine(item: str, count: int, name: str, remark: str = "") -> Line:
    return Line(item, f"{count} × {name}{remark}", count * machine_usd(name))


def _disks(item: str, count: int, disk: Disk) -> Line:
    return Line(item, f"{count} × {disk.size_gib} GiB, {disk.throughput_mibps} MiB/s", count * disk_usd(disk))


def _network(plan: Plan) -> tuple[Line, ...]:
    services, zones = plan.workload.services, len(plan.workload.zones)
    addresses = Line("public addresses", f"{zones}", zones * ADDRESS_USD_PER_HOUR * HOURS_PER_MONTH)
    endpoints = len(services.endpoints)
    return (
        Line("front load balancer", "1, without capacity units", BALANCER_USD_PER_HOUR * HOURS_PER_MONTH),
        *((addresses,) if services.public else ()),
        Line(
            "interface endpoints",
            f"{endpoints} × {zones} zones",
            endpoints * zones * ENDPOINT_USD_PER_ZONE_HOUR * HOURS_PER_MONTH,
        ),
    )


def _storage(plan: Plan) -> tuple[Line, ...]:
    logs, generation = plan.logs_bytes / GIB, plan.generation_bytes / GIB
    snapshots = SNAPSHOT_GENERATIONS * generation
    kept = (
        Line("S3, logs", f"{logs:,.1f} GiB, each row written once", logs * S3_USD_PER_GIB_MONTH),
        Line(
            "S3, snapshots",
            f"{SNAPSHOT_GENERATIONS} generations of {generation:,.1f} GiB; none is ever deleted, and each further one "
            f"costs {generation * S3_USD_PER_GIB_MONTH:,.2f} a month",
            snapshots * S3_USD_PER_GIB_MONTH,
        ),
    )
    return (*kept, *_vault(logs + snapshots)) if plan.workload.services.vault else kept


def _vault(gib: float) -> tuple[Line, ...]:
    return (
        Line("vault, S3", f"{gib:,.1f} GiB in its region", gib * S3_USD_PER_GIB_MONTH),
        Line(
            "vault, replication",
            f"{gib:,.1f} GiB once a month, transfer and time control",
            gib * (TRANSFER_USD_PER_GIB + REPLICATION_TIME_USD_PER_GIB),
        ),
    )


def _watching(plan: Plan) -> tuple[Line, ...]:
    services = plan.workload.services
    instances = plan.cells + plan.routers + 1
    replicated = len(RULES) * METRICS_PER_RULE if services.vault else 0
    own = SERVICE_METRICS + SHARD_METRICS * plan.shards + AGENT_METRICS + replicated
    return (
        _alarms(plan),
        Line(
            "detailed monitoring",
            f"{instances} × {METRICS_PER_INSTANCE} metrics",
            instances * METRICS_PER_INSTANCE * METRIC_USD_PER_MONTH,
        ),
        Line("custom metrics", f"{own}, without what applications send", own * METRIC_USD_PER_MONTH),
    )


def _alarms(plan: Plan) -> Line:
    """Each metric of an alarm is paid for; besides the table, one for each group that should have instances."""
    services = plan.workload.services
    groups = plan.cells + (1 if services.batch else 2)
    alarms = [*OBJECTIVES, *OPERATIONS, *(launch_failures(str(group), 0) for group in range(groups))]
    if services.vault:
        alarms += [of(rule) for rule in RULES for of in (replication_failed, replication_late)]
    metrics = sum(len(alarm.watched) for alarm in alarms)
    usd = sum(len(alarm.watched) * _alarm_metric_usd(alarm, services) for alarm in alarms)
    return Line("alarms", f"{metrics} metrics", usd)


def _alarm_metric_usd(alarm: Alarm, services: Services) -> float:
    fast = (alarm.period_seconds or services.alarm_period_seconds) < FAST_BELOW_SECONDS
    return FAST_ALARM_METRIC_USD_PER_MONTH if fast else ALARM_METRIC_USD_PER_MONTH


def _keys(services: Services) -> Line:
    count = KEYS * (2 if services.vault else 1)
    return Line("keys", f"{count}", count * KEY_USD_PER_MONTH)
