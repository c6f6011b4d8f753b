"""Instance types a fleet may use, with their memory and list price. Data with a date, no call to AWS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

GIB = 2**30
MIB = 2**20

PRICES_AS_OF = date(2025, 6, 1)
PRICES_REGION = "us-east-1"  # Linux, on demand

OS_RESERVE_BYTES = 1 * GIB  # kernel, agents, page cache a node needs to read snapshots
KERNEL_SHARE = 0.03  # page tables and firmware take this part of the nominal memory, more on larger machines

# Baselines of the families below, the same for each of their sizes.
NETWORK_GBPS_PER_VCPU = 0.390625
MAX_NETWORK_GBPS = 50.0
DISK_MBPS_PER_VCPU = 39.0625
MAX_DISK_MBPS = 5000.0


@dataclass(frozen=True)
class InstanceType:
    """
    One type with its vCPUs, nominal memory in GiB and list price in US dollars per hour.

    `network_gbps` and `disk_mibps` are what it sustains, not the burst that smaller types have for some minutes.
    """

    name: str
    vcpus: int
    memory_gib: int
    usd_per_hour: float
    network_gbps: float
    disk_mibps: float
    memory_family: bool = True

    @property
    def usable_bytes(self) -> int:
        """Memory left for a node's process, never the nominal figure."""
        return int(self.memory_gib * GIB * (1 - KERNEL_SHARE)) - OS_RESERVE_BYTES


def _family(
    prefix: str, large_usd: float, sizes: Iterable[tuple[str, int]], *, gib_per_vcpu: int
) -> list[InstanceType]:
    """Within a family AWS prices every size by its vCPUs, and shares out network and disk likewise: `large` has 2."""
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

# x86-64 only: the artifact's wheels are compiled for one named x86-64 level.
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
    The type, then the allowed ones with just its vCPUs and memory, cheapest first; every type when none is named.

    Where a zone has none of the first, another one serves alike: the plan's memory and capacity hold for each.
    """
    first = BY_NAME[name]
    twins = [
        machine
        for machine in (CATALOG if allowed is None else dict.fromkeys(map(BY_NAME.__getitem__, allowed)))
        if (machine.vcpus, machine.memory_gib) == (first.vcpus, first.memory_gib) and machine is not first
    ]
    return name, *(machine.name for machine in sorted(twins, key=lambda one: one.usd_per_hour))


def candidates(names: Iterable[str] | None = None) -> tuple[InstanceType, ...]:
    """
    The types a plan may choose from: those named, else every memory family.

    Raises KeyError for a name the catalog does not have.
    """
    if names is not None:
        return tuple(BY_NAME[name] for name in names)
    return tuple(machine for machine in CATALOG if machine.memory_family)
