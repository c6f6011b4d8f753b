"""Instance types and disks that a fleet may use: size, speed and list price, as of PRICES_AS_OF."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

GIB = 2**30
MIB = 2**20

PRICES_AS_OF = date(2025, 6, 1)
PRICES_REGION = "us-east-1"  # Linux, on demand

OS_RESERVE_BYTES = 1 * GIB  # kernel, agents, and the page cache for reading snapshots
KERNEL_SHARE = 0.03  # of the nominal memory, for page tables and firmware

# Baselines of the families below; every size has the same per vCPU.
NETWORK_GBPS_PER_VCPU = 0.390625
MAX_NETWORK_GBPS = 50.0
DISK_MBPS_PER_VCPU = 39.0625
MAX_DISK_MBPS = 5000.0

GP3_BASE_MIBPS = 125  # throughput and IOPS that the price of every gp3 volume includes
GP3_BASE_IOPS = 3000
# CreateVolume takes up to 2,000 MiB/s by now. EbsBlockDevice, which launch templates use, is still documented with
# 1,000, and older accounts and Outposts keep that limit.
GP3_MAX_MIBPS = 1000
GP3_IOPS_PER_MIBPS = 4  # a volume needs 4 IOPS for each MiB/s
GP3_MIN_GIB = 20


@dataclass(frozen=True)
class Disk:
    """The gp3 volume of an instance."""

    size_gib: int
    throughput_mibps: int
    iops: int


SMALLEST_DISK = Disk(GP3_MIN_GIB, GP3_BASE_MIBPS, GP3_BASE_IOPS)


@dataclass(frozen=True)
class InstanceType:
    """One type. `network_gbps` and `disk_mibps` are the sustained rates, not the burst of the smaller types."""

    name: str
    vcpus: int
    memory_gib: int
    usd_per_hour: float
    network_gbps: float
    disk_mibps: float
    memory_family: bool = True

    @property
    def usable_bytes(self) -> int:
        """Return the memory that is left for a node's process."""
        return int(self.memory_gib * GIB * (1 - KERNEL_SHARE)) - OS_RESERVE_BYTES


def _family(
    prefix: str, large_usd: float, sizes: Iterable[tuple[str, int]], *, gib_per_vcpu: int
) -> list[InstanceType]:
    """Return a family's sizes. AWS scales price, network and disk by vCPUs; `large` has 2."""
    return [
        InstanceType(
            name=f"{prefix}.{size}",
            vcpus=vcpus,
            memory_gib=vcpus * gib_per_vcpu,
            usd_per_hour=round(large_usd * vcpus / 2, 4),
            network_gbps=min(NETWORK_GBPS_PER_VCPU * vcpus, MAX_NETWORK_GBPS),
            disk_mibps=min(DISK_MBPS_PER_VCPU * vcpus, MAX_DISK_MBPS) * 10**6 / MIB,
            memory_family=gib_per_vcpu >= 8,
        )
        for size, vcpus in sizes
    ]


_SMALL = (("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16), ("8xlarge", 32), ("12xlarge", 48))
_LARGE = (("16xlarge", 64), ("24xlarge", 96))

# x86-64 only: the wheels of the artifact are compiled for one x86-64 level.
CATALOG: tuple[InstanceType, ...] = (
    *_family("r7i", 0.1323, (*_SMALL, *_LARGE, ("48xlarge", 192)), gib_per_vcpu=8),
    *_family("r6i", 0.126, (*_SMALL, *_LARGE, ("32xlarge", 128)), gib_per_vcpu=8),
    *_family("m7i", 0.1008, (*_SMALL, *_LARGE, ("48xlarge", 192)), gib_per_vcpu=4),
    *_family("m6i", 0.096, (*_SMALL, *_LARGE, ("32xlarge", 128)), gib_per_vcpu=4),
)

BY_NAME = {machine.name: machine for machine in CATALOG}
ROUTER_TYPES = ("m7i.large", "m7i.xlarge", "m7i.2xlarge")
INDEXER_TYPE = "m7i.xlarge"
GENERATOR_TYPE = "m7i.large"


def same_size(name: str, allowed: Iterable[str] | None = None) -> tuple[str, ...]:
    """
    Return the type, then the allowed types with the same vCPUs and memory, cheapest first. None allows every type.

    Auto Scaling launches one of the others where a zone lacks the first: the plan holds for each of them.
    """
    first = BY_NAME[name]
    twins = [
        machine
        for machine in (CATALOG if allowed is None else dict.fromkeys(map(BY_NAME.__getitem__, allowed)))
        if (machine.vcpus, machine.memory_gib) == (first.vcpus, first.memory_gib) and machine is not first
    ]
    return name, *(machine.name for machine in sorted(twins, key=lambda one: one.usd_per_hour))


def candidates(names: Iterable[str] | None = None) -> tuple[InstanceType, ...]:
    """Return the types that a plan may choose from: the named ones, else every memory family. Raises KeyError."""
    if names is not None:
        return tuple(BY_NAME[name] for name in names)
    return tuple(machine for machine in CATALOG if machine.memory_family)
