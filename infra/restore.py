"""How long a replica takes to be back, and the disk and network it needs for that. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from infra.catalog import GIB, MIB, InstanceType

GP3_BASE_MIBPS = 125  # throughput and IOPS that are included in the price of every gp3 volume
GP3_BASE_IOPS = 3000
GP3_MAX_MIBPS = 1000
GP3_IOPS_PER_MIBPS = 4  # a volume gives at most a quarter MiB/s for each of its IOPS
GP3_MIN_GIB = 20
RESTORE_SHARE = 0.5  # of the recovery-time objective; the rest is detection, boot, load and canaries

# Measured on the machines of a rehearsal: one core hashing, and hnswlib loading its file.
VERIFY_MIBPS = 450
LOAD_MIBPS = 600
# Assumed for AWS, where no rehearsal can measure: from the launch call to a running bootstrap, and its installation.
LAUNCH_SECONDS = 45
INSTALL_SECONDS = 30
DETECT_SECONDS = 60  # two EC2 status checks


@dataclass(frozen=True)
class Disk:
    """The gp3 volume of one cell: a cache that must be filled within the recovery-time objective."""

    size_gib: int
    throughput_mibps: int
    iops: int


SMALLEST_DISK = Disk(GP3_MIN_GIB, GP3_BASE_MIBPS, GP3_BASE_IOPS)


@dataclass(frozen=True)
class Restore:
    """The predicted way back of one replica, in seconds; `snapshot_bytes` are downloaded at `download_mibps`."""

    snapshot_bytes: int
    download_mibps: float
    detect_seconds: float
    launch_seconds: float
    install_seconds: float
    download_seconds: float
    verify_seconds: float
    load_seconds: float

    @property
    def seconds(self) -> float:
        """From the loss to the last canary, without the replay of what was written since the snapshot."""
        boot = self.detect_seconds + self.launch_seconds + self.install_seconds
        return boot + self.download_seconds + self.verify_seconds + self.load_seconds


def needed_mibps(*, restore_bytes: int, recovery_time_seconds: int) -> int:
    """
    MiB/s that bring a snapshot onto disk within its share of the recovery time.

    >>> needed_mibps(restore_bytes=100 * 2**30, recovery_time_seconds=900)
    228
    """
    return math.ceil(restore_bytes / MIB / (recovery_time_seconds * RESTORE_SHARE))


def network_mibps(machine: InstanceType) -> float:
    """What the machine's network sustains, in MiB/s."""
    return machine.network_gbps * 1e9 / 8 / MIB


def sustained_mibps(machine: InstanceType) -> float:
    """The most that a gp3 volume of this machine can be filled with, in MiB/s."""
    return min(network_mibps(machine), machine.disk_mibps, GP3_MAX_MIBPS)


def smallest_disk(*, restore_bytes: int, recovery_time_seconds: int) -> Disk:
    """The cheapest gp3 volume that is filled in time and has room for two generations."""
    needed = needed_mibps(restore_bytes=restore_bytes, recovery_time_seconds=recovery_time_seconds)
    throughput = max(GP3_BASE_MIBPS, needed)
    return Disk(
        size_gib=max(GP3_MIN_GIB, math.ceil(2 * restore_bytes / GIB) + 10),
        throughput_mibps=throughput,
        iops=max(GP3_BASE_IOPS, GP3_IOPS_PER_MIBPS * throughput),
    )


def predict(machine: InstanceType, disk: Disk, snapshot_bytes: int) -> Restore:
    """The way back of a replica on this machine with this disk."""
    download_mibps = min(sustained_mibps(machine), disk.throughput_mibps)
    mib = snapshot_bytes / MIB
    return Restore(
        snapshot_bytes=snapshot_bytes,
        download_mibps=round(download_mibps, 1),
        detect_seconds=DETECT_SECONDS,
        launch_seconds=LAUNCH_SECONDS,
        install_seconds=INSTALL_SECONDS,
        download_seconds=round(mib / download_mibps, 1),
        verify_seconds=round(mib / VERIFY_MIBPS, 1),
        load_seconds=round(mib / LOAD_MIBPS, 1),
    )
