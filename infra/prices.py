"""What machines and disks cost, and what else a fleet is paid for. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from infra.catalog import BY_NAME, ROUTER_TYPES
from infra.restore import GP3_BASE_IOPS, GP3_BASE_MIBPS, Disk

HOURS_PER_MONTH = 730
# us-east-1 list prices of the day infra.catalog.PRICES_AS_OF names, by the pricing page of EBS.
GP3_USD_PER_GIB_MONTH = 0.08
GP3_USD_PER_EXTRA_MIBPS_MONTH = 0.04
GP3_USD_PER_EXTRA_IOPS_MONTH = 0.005
# What instances call besides S3: discovery, hooks, metrics, logs and parameters. Each costs something in every zone.
INTERFACE_ENDPOINTS = ("autoscaling", "ec2", "logs", "monitoring", "ssm")


@dataclass(frozen=True)
class Services:
    """What a fleet is paid for beside machines and disks, as its settings have it."""

    router_type: str = ROUTER_TYPES[0]
    endpoints: tuple[str, ...] = INTERFACE_ENDPOINTS
    public: bool = False
    vault: bool = False
    batch: bool = False
    alarm_period_seconds: int = 60


def interface_endpoints(*, sessions: bool, bedrock: bool) -> tuple[str, ...]:
    """The AWS services that instances call inside the network, besides S3; `sessions` are a person's on an instance."""
    wanted = {"ssmmessages": sessions, "bedrock-runtime": bedrock}
    return (*INTERFACE_ENDPOINTS, *(service for service, is_wanted in wanted.items() if is_wanted))


def machine_usd(name: str) -> float:
    """A machine's month."""
    return BY_NAME[name].usd_per_hour * HOURS_PER_MONTH


def disk_usd(disk: Disk) -> float:
    """A gp3 volume's month: its size, and what it does more than is included."""
    return (
        disk.size_gib * GP3_USD_PER_GIB_MONTH
        + (disk.throughput_mibps - GP3_BASE_MIBPS) * GP3_USD_PER_EXTRA_MIBPS_MONTH
        + (disk.iops - GP3_BASE_IOPS) * GP3_USD_PER_EXTRA_IOPS_MONTH
    )
