"""The monthly bill of a stack, line by line at dated list prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from infra.facts import service_prices
from infra.facts.alarm_table import (
    FLEET,
    OBJECTIVES,
    OPERATIONS,
    Alarm,
    launch_failures,
    replication_failed,
    replication_late,
)
from infra.facts.instance_types import GIB, INDEXER_TYPE, PRICES_AS_OF, PRICES_REGION, SMALLEST_DISK, Disk
from infra.facts.service_prices import HOURS_PER_MONTH, disk_usd, machine_usd
from infra.planning.plan import Plan, Plans
from infra.planning.workload import Services, Workload

KEYS = 2  # for data and for operations, in each region
METRICS_PER_INSTANCE = 7  # of detailed monitoring
SERVICE_METRICS = 18  # with one set of dimensions, of routers, nodes and every start; docs/operations.md lists them
SHARD_METRICS = 2  # of routers, for each shard
AGENT_METRICS = 3  # memory used, of nodes, routers and indexer
RULES = ("documents-log", "index-builds", "index-slots")  # of the replication to the vault
METRICS_PER_RULE = 4  # pending bytes, pending operations, failed operations, latency
SNAPSHOT_GENERATIONS = 3  # assumed to lie in S3; nothing deletes one

# These depend on use, belong to others, or are started by a person.
NOT_INCLUDED = "without traffic, requests, log lines and models elsewhere; load generators are started by hand"


@dataclass(frozen=True)
class Line:
    """One item of the bill; without a slot, all slots share it."""

    item: str
    quantity: str
    usd_per_month: float
    slot: str = ""


def lines(plans: Plans) -> tuple[Line, ...]:
    """Return the monthly bill of a stack, without NOT_INCLUDED: the lines of each slot, then those that they share."""
    own = [
        replace(line, slot=slot)
        for slot, plan in plans.items()
        for line in (*_machines(plan), *_storage(plan), *_monitoring(plan))
    ]
    return (*own, *_network(plans), *_shared_storage(plans), *_shared_monitoring(plans))


def total(bill: Sequence[Line]) -> float:
    """Return US dollars per month."""
    return sum(line.usd_per_month for line in bill)


def described(plans: Plans) -> dict[str, object]:
    """Return the plans with their bill as plain data: the stack output `plan`, and `vectorfleet plan --json`."""
    bill = lines(plans)
    return {
        "slots": {slot: plan.to_json() for slot, plan in plans.items()},
        "bill": {
            "lines": [asdict(line) | {"usd_per_month": round(line.usd_per_month, 2)} for line in bill],
            "total_usd_per_month": round(total(bill), 2),
            "currency": service_prices.CURRENCY,
            "prices_as_of": PRICES_AS_OF.isoformat(),
            "prices_region": PRICES_REGION,
            "not_included": NOT_INCLUDED,
        },
    }


def _machines(plan: Plan) -> tuple[Line, ...]:
    services, others = plan.workload.services, plan.routers + 1
    hours = ", as if it ran all hours; a batch takes fewer" if services.batch else ""
    return (
        _machine("cells", plan.cells, plan.instance_type),
        _machine("routers", plan.routers, services.router_type),
        _machine("indexer", 1, INDEXER_TYPE, hours),
        _disks("cell disks", plan.cells, plan.disk),
        _disks("router and indexer disks", others, SMALLEST_DISK),
    )


def _machine(item: str, count: int, name: str, remark: str = "") -> Line:
    return Line(item, f"{count} × {name}{remark}", count * machine_usd(name))


def _disks(item: str, count: int, disk: Disk) -> Line:
    return Line(item, f"{count} × {disk.size_gib} GiB, {disk.throughput_mibps} MiB/s", count * disk_usd(disk))


def _network(plans: Plans) -> tuple[Line, ...]:
    work = _shared(plans)
    services, zones = work.services, len(work.zones)
    addresses = Line("public addresses", f"{zones}", zones * service_prices.ADDRESS_USD_PER_HOUR * HOURS_PER_MONTH)
    endpoints = len(services.endpoints)
    endpoint_usd = service_prices.ENDPOINT_USD_PER_ZONE_HOUR * HOURS_PER_MONTH
    return (
        Line(
            "front load balancer", "1, without capacity units", service_prices.BALANCER_USD_PER_HOUR * HOURS_PER_MONTH
        ),
        *((addresses,) if services.public else ()),
        Line("interface endpoints", f"{endpoints} × {zones} zones", endpoints * zones * endpoint_usd),
    )


def _shared(plans: Plans) -> Workload:
    """Return the workload of any slot, for what is the same in all."""
    return next(iter(plans.values())).workload


def _storage(plan: Plan) -> tuple[Line, ...]:
    logs, generation = plan.logs_bytes / GIB, plan.generation_bytes / GIB
    price = service_prices.S3_USD_PER_GIB_MONTH
    return (
        Line("S3, shard logs", f"{logs:,.1f} GiB, each row written once", logs * price),
        Line(
            "S3, snapshots",
            f"{SNAPSHOT_GENERATIONS} generations of {generation:,.1f} GiB; none is ever deleted, and each further one "
            f"costs {generation * price:,.2f} a month",
            SNAPSHOT_GENERATIONS * generation * price,
        ),
    )


def _shared_storage(plans: Plans) -> tuple[Line, ...]:
    price = service_prices.S3_USD_PER_GIB_MONTH
    documents = max(plan.documents_bytes for plan in plans.values()) / GIB
    kept = Line("S3, documents log", f"{documents:,.1f} GiB, each text written once", documents * price)
    if not _shared(plans).services.vault:
        return (kept,)
    indexes = (plan.logs_bytes + SNAPSHOT_GENERATIONS * plan.generation_bytes for plan in plans.values())
    copied = documents + sum(indexes) / GIB
    copy_usd = service_prices.TRANSFER_USD_PER_GIB + service_prices.REPLICATION_TIME_USD_PER_GIB
    monthly = f"{copied:,.1f} GiB once a month, transfer and time control"
    return (
        kept,
        Line("vault, S3", f"{copied:,.1f} GiB in its region", copied * price),
        Line("vault, replication", monthly, copied * copy_usd),
    )


def _monitoring(plan: Plan) -> tuple[Line, ...]:
    services, price = plan.workload.services, service_prices.METRIC_USD_PER_MONTH
    instances = plan.cells + plan.routers + 1
    detailed = instances * METRICS_PER_INSTANCE * price
    own = SERVICE_METRICS + SHARD_METRICS * plan.shards + AGENT_METRICS
    groups = plan.cells + (1 if services.batch else 2)
    alarms = [*OBJECTIVES, *OPERATIONS, *(launch_failures(str(group), 0) for group in range(groups))]
    return (
        _alarms("alarms", alarms, services),
        Line("detailed monitoring", f"{instances} × {METRICS_PER_INSTANCE} metrics", detailed),
        Line("custom metrics", f"{own}, without what applications send", own * price),
    )


def _shared_monitoring(plans: Plans) -> tuple[Line, ...]:
    services = _shared(plans).services
    copies = [of(rule) for rule in RULES for of in (replication_failed, replication_late)] if services.vault else []
    replicated = len(RULES) * METRICS_PER_RULE * service_prices.METRIC_USD_PER_MONTH
    keys = KEYS * (2 if services.vault else 1)
    return (
        _alarms("alarms of the fleet", [*FLEET, *copies], services),
        *((Line("metrics of replication", f"{len(RULES) * METRICS_PER_RULE}", replicated),) if services.vault else ()),
        Line("keys", f"{keys}", keys * service_prices.KEY_USD_PER_MONTH),
    )


def _alarms(item: str, alarms: Sequence[Alarm], services: Services) -> Line:
    """Return the price of all watched metrics."""
    metrics = sum(len(alarm.watched) for alarm in alarms)
    usd = sum(len(alarm.watched) * _alarm_metric_usd(alarm, services) for alarm in alarms)
    return Line(item, f"{metrics} metrics", usd)


def _alarm_metric_usd(alarm: Alarm, services: Services) -> float:
    is_fast = (alarm.period_seconds or services.alarm_period_seconds) < service_prices.FAST_BELOW_SECONDS
    return service_prices.FAST_ALARM_METRIC_USD_PER_MONTH if is_fast else service_prices.ALARM_METRIC_USD_PER_MONTH
