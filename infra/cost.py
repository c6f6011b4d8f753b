"""What a plan costs each month at dated list prices, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from infra.alarm_table import OBJECTIVES, OPERATIONS
from infra.catalog import BY_NAME, INDEXER_TYPE, ROUTER_TYPES
from infra.plan import Plan
from infra.restore import GP3_BASE_IOPS, GP3_BASE_MIBPS

HOURS_PER_MONTH = 730
# What instances call besides S3: discovery, hooks, metrics, logs and parameters. Each costs something in every zone.
INTERFACE_ENDPOINTS = ("autoscaling", "ec2", "logs", "monitoring", "ssm")
# us-east-1 list prices of the day infra.catalog.PRICES_AS_OF names.
GP3_USD_PER_GIB_MONTH = 0.08
GP3_USD_PER_EXTRA_MIBPS_MONTH = 0.04
GP3_USD_PER_EXTRA_IOPS_MONTH = 0.005
S3_USD_PER_GIB_MONTH = 0.023
BALANCER_USD_PER_HOUR = 0.0225
ENDPOINT_USD_PER_ZONE_HOUR = 0.01
ALARM_METRIC_USD_PER_MONTH = 0.10
KEY_USD_PER_MONTH = 1.0
KEYS = 2  # for data and for operations
SNAPSHOT_COPIES = 3  # generations that lie in S3 at a time, beside the logs


@dataclass(frozen=True)
class Line:
    """One row of the bill: what, how many of it, US dollars per month."""

    item: str
    quantity: str
    usd_per_month: float


def interface_endpoints(*, sessions: bool, bedrock: bool) -> tuple[str, ...]:
    """The AWS services that instances call inside the network, besides S3; `sessions` are a person's on an instance."""
    wanted = {"ssmmessages": sessions, "bedrock-runtime": bedrock}
    return (*INTERFACE_ENDPOINTS, *(service for service, is_wanted in wanted.items() if is_wanted))


def lines(plan: Plan) -> tuple[Line, ...]:
    """The monthly bill without traffic, requests and an embedding model elsewhere, which depend on use."""
    cells = plan.shards * plan.replicas
    return (
        _machines("cells", cells, plan.instance_type),
        _machines("routers", plan.routers, ROUTER_TYPES[0]),
        _machines("indexer", 1, INDEXER_TYPE),
        _disks(plan, cells),
        Line("front load balancer", "1, without capacity units", BALANCER_USD_PER_HOUR * HOURS_PER_MONTH),
        _endpoints(len(INTERFACE_ENDPOINTS), len(plan.workload.zones)),
        _storage(plan),
        _alarms(cells),
        Line("keys", f"{KEYS}", KEYS * KEY_USD_PER_MONTH),
    )


def total(bill: tuple[Line, ...]) -> float:
    """US dollars per month."""
    return sum(line.usd_per_month for line in bill)


def _machines(item: str, count: int, name: str) -> Line:
    return Line(item, f"{count} × {name}", count * BY_NAME[name].usd_per_hour * HOURS_PER_MONTH)


def _disks(plan: Plan, cells: int) -> Line:
    disk = plan.disk
    each = (
        disk.size_gib * GP3_USD_PER_GIB_MONTH
        + (disk.throughput_mibps - GP3_BASE_MIBPS) * GP3_USD_PER_EXTRA_MIBPS_MONTH
        + (disk.iops - GP3_BASE_IOPS) * GP3_USD_PER_EXTRA_IOPS_MONTH
    )
    return Line("cell disks", f"{cells} × {plan.disk.size_gib} GiB, {plan.disk.throughput_mibps} MiB/s", cells * each)


def _alarms(cells: int) -> Line:
    """Each metric of an alarm is paid for; besides the table, one for each cell, the routers and the indexer."""
    metrics = sum(len(alarm.watched) for alarm in (*OBJECTIVES, *OPERATIONS)) + cells + 2
    return Line("alarms", f"{metrics} metrics", metrics * ALARM_METRIC_USD_PER_MONTH)


def _endpoints(count: int, zones: int) -> Line:
    usd = count * zones * ENDPOINT_USD_PER_ZONE_HOUR * HOURS_PER_MONTH
    return Line("interface endpoints", f"{count} × {zones} zones", usd)


def _storage(plan: Plan) -> Line:
    gib = plan.ram.index_bytes * SNAPSHOT_COPIES / 2**30
    return Line("S3, logs and snapshots", f"{gib:,.0f} GiB", gib * S3_USD_PER_GIB_MONTH)
