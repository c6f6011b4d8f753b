"""How long a replica takes to be back, and the disk and network it needs for that. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from infra.catalog import GIB, MIB, InstanceType

GP3_BASE_MIBPS = 125  # throughput and IOPS that are included in the price of every gp3 volume
GP3_BASE_IOPS = 3000
# EC2 has come to take up to 2,000 MiB/s in CreateVolume, but EbsBlockDevice, of which launch templates are made, is
# still documented with 1,000, and older accounts and Outposts keep to it.
GP3_MAX_MIBPS = 1000
GP3_IOPS_PER_MIBPS = 4  # a volume gives at most a quarter MiB/s for each of its IOPS
GP3_MIN_GIB = 20
SYSTEM_GIB = 10  # beside two generations: the image, the wheels, logs
GENERATIONS_ON_DISK = 2  # the serving one and the next

# Measured on the machines of a rehearsal: one core hashing, a snapshot loaded, and a log entry's rows applied.
VERIFY_MIBPS = 450
LOAD_MIBPS = 600
REPLAY_ROWS_PER_SECOND = 40_000
# Eight entries are fetched at a time: 3.1 to 4.1 ms each where every GET takes S3's 20 ms, 5 ms from the emulator.
REPLAY_ENTRIES_PER_SECOND = 250


@dataclass(frozen=True)
class Boot:
    """Seconds that pass before a replica's process begins, and why; no sizing changes them."""

    detect_seconds: float
    detect_reason: str
    launch_seconds: float
    install_seconds: float

    @property
    def seconds(self) -> float:
        """From the loss to a process that begins to fetch."""
        return self.detect_seconds + self.launch_seconds + self.install_seconds


# Assumed for AWS, where no rehearsal can measure. EC2 checks an instance every minute and two failed checks count
# (AWS, "Status checks for Amazon EC2 instances"); then from the launch call to a running bootstrap, and its
# installation.
EC2_BOOT = Boot(120, "assumed: two of EC2's status checks, one a minute", launch_seconds=45, install_seconds=30)
# A rehearsal's machine is a process, missed within a second, and brings its packages along.
LOCAL_BOOT = Boot(1, "assumed: a process of this machine", launch_seconds=4, install_seconds=0)


@dataclass(frozen=True)
class Disk:
    """The gp3 volume of one cell: a cache that must be filled within the recovery-time objective."""

    size_gib: int
    throughput_mibps: int
    iops: int


SMALLEST_DISK = Disk(GP3_MIN_GIB, GP3_BASE_MIBPS, GP3_BASE_IOPS)


@dataclass(frozen=True)
class Burden:
    """What one replica fetches to be back: the newest snapshot, and the log of what was written since, at most."""

    snapshot_bytes: int
    log_bytes: int = 0
    log_rows: int = 0
    log_entries: int = 0

    @property
    def replay_seconds(self) -> float:
        """Fetching the log's entries, however small, and applying their rows."""
        return self.log_rows / REPLAY_ROWS_PER_SECOND + self.log_entries / REPLAY_ENTRIES_PER_SECOND

    @property
    def fixed_seconds(self) -> float:
        """Hashing, loading and replaying, which no faster disk shortens."""
        return self.snapshot_bytes / MIB * (1 / VERIFY_MIBPS + 1 / LOAD_MIBPS) + self.replay_seconds

    @property
    def download_mib(self) -> float:
        """All that comes over the network, in MiB."""
        return (self.snapshot_bytes + self.log_bytes) / MIB


@dataclass(frozen=True)
class Restore:
    """The predicted way back of one replica, in seconds; what it fetches comes at `download_mibps`."""

    snapshot_bytes: int
    log_bytes: int
    log_rows: int
    log_entries: int
    download_mibps: float
    detect_seconds: float
    launch_seconds: float
    install_seconds: float
    download_seconds: float
    verify_seconds: float
    load_seconds: float
    replay_seconds: float

    @property
    def seconds(self) -> float:
        """From the loss to the last row that was written meanwhile."""
        boot = self.detect_seconds + self.launch_seconds + self.install_seconds
        return boot + self.download_seconds + self.verify_seconds + self.load_seconds + self.replay_seconds

    def to_json(self) -> dict[str, float]:
        """Plain data, seconds and MiB/s to a tenth."""
        plain = {name: round(value, 1) for name, value in vars(self).items()}
        return plain | {"seconds": round(self.seconds, 1)}


def network_mibps(machine: InstanceType) -> float:
    """What the machine's network sustains, in MiB/s."""
    return machine.network_gbps * 1e9 / 8 / MIB


def sustained_mibps(machine: InstanceType) -> float:
    """The most that a gp3 volume of this machine can be filled with, in MiB/s."""
    return min(network_mibps(machine), machine.disk_mibps, GP3_MAX_MIBPS)


def needed_mibps(burden: Burden, budget_seconds: float) -> float:
    """
    MiB/s that bring a replica back in so many seconds, the objective without boot; infinite where no rate does.

    >>> round(needed_mibps(Burden(snapshot_bytes=100 * 2**30), 900), 1), needed_mibps(Burden(2**40), 900)
    (204.1, inf)
    """
    left = budget_seconds - burden.fixed_seconds
    return burden.download_mib / left if left > 0 else math.inf


def in_time(machine: InstanceType, burden: Burden, budget_seconds: float) -> bool:
    """Whether some gp3 volume of this machine takes the burden in so many seconds."""
    return needed_mibps(burden, budget_seconds) <= sustained_mibps(machine)


def smallest_disk(burden: Burden, budget_seconds: float) -> Disk:
    """
    The cheapest gp3 volume with room for two generations that takes the burden `in_time`.

    >>> smallest_disk(Burden(snapshot_bytes=100 * 2**30), 540)
    Disk(size_gib=210, throughput_mibps=723, iops=3000)
    """
    throughput = max(GP3_BASE_MIBPS, math.ceil(needed_mibps(burden, budget_seconds)))
    return Disk(
        size_gib=max(GP3_MIN_GIB, math.ceil(GENERATIONS_ON_DISK * burden.snapshot_bytes / GIB) + SYSTEM_GIB),
        throughput_mibps=throughput,
        iops=max(GP3_BASE_IOPS, GP3_IOPS_PER_MIBPS * throughput),
    )


def predict(machine: InstanceType, disk: Disk, burden: Burden, boot: Boot = EC2_BOOT) -> Restore:
    """The way back of a replica on this machine with this disk."""
    download_mibps = min(sustained_mibps(machine), disk.throughput_mibps)
    mib = burden.snapshot_bytes / MIB
    return Restore(
        snapshot_bytes=burden.snapshot_bytes,
        log_bytes=burden.log_bytes,
        log_rows=burden.log_rows,
        log_entries=burden.log_entries,
        download_mibps=download_mibps,
        detect_seconds=boot.detect_seconds,
        launch_seconds=boot.launch_seconds,
        install_seconds=boot.install_seconds,
        download_seconds=burden.download_mib / download_mibps,
        verify_seconds=mib / VERIFY_MIBPS,
        load_seconds=mib / LOAD_MIBPS,
        replay_seconds=burden.replay_seconds,
    )
