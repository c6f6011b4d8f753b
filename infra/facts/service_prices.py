"""List prices of disks and services, with the units that AWS bills; instance_types has those of machines. Pure."""

from __future__ import annotations

from infra.facts.instance_types import BY_NAME, GP3_BASE_IOPS, GP3_BASE_MIBPS, Disk

# us-east-1 list prices of the day PRICES_AS_OF in instance_types, from the pricing pages of EBS, S3, ELB, PrivateLink,
# VPC, CloudWatch and KMS.
CURRENCY = "USD"
HOURS_PER_MONTH = 730
GP3_USD_PER_GIB_MONTH = 0.08
GP3_USD_PER_EXTRA_MIBPS_MONTH = 0.04
GP3_USD_PER_EXTRA_IOPS_MONTH = 0.005
S3_USD_PER_GIB_MONTH = 0.023
BALANCER_USD_PER_HOUR = 0.0225
ADDRESS_USD_PER_HOUR = 0.005  # a public IPv4 address; a load balancer has one in each zone
ENDPOINT_USD_PER_ZONE_HOUR = 0.01
ALARM_METRIC_USD_PER_MONTH = 0.10
FAST_ALARM_METRIC_USD_PER_MONTH = 0.30  # for an alarm with a period below FAST_BELOW_SECONDS
FAST_BELOW_SECONDS = 60
METRIC_USD_PER_MONTH = 0.30  # a custom metric, or one of detailed monitoring or of a replication rule
KEY_USD_PER_MONTH = 1.0
TRANSFER_USD_PER_GIB = 0.02  # between two regions
REPLICATION_TIME_USD_PER_GIB = 0.015  # S3's replication time control

# The AWS services that instances call besides S3. Each interface endpoint is billed in every zone.
INTERFACE_ENDPOINTS = ("autoscaling", "ec2", "logs", "monitoring", "ssm")


def interface_endpoints(*, sessions: bool, bedrock: bool) -> tuple[str, ...]:
    """Return the services that get an interface endpoint; `sessions` lets a person open a shell on an instance."""
    wanted = {"ssmmessages": sessions, "bedrock-runtime": bedrock}
    return (*INTERFACE_ENDPOINTS, *(service for service, is_wanted in wanted.items() if is_wanted))


def machine_usd(name: str) -> float:
    """Return US dollars per month."""
    return BY_NAME[name].usd_per_hour * HOURS_PER_MONTH


def disk_usd(disk: Disk) -> float:
    """Return US dollars per month: the size, and throughput and IOPS above the included ones."""
    return (
        disk.size_gib * GP3_USD_PER_GIB_MONTH
        + (disk.throughput_mibps - GP3_BASE_MIBPS) * GP3_USD_PER_EXTRA_MIBPS_MONTH
        + (disk.iops - GP3_BASE_IOPS) * GP3_USD_PER_EXTRA_IOPS_MONTH
    )
