"""The recovery of a lost replica: its seconds step by step, and the disk that makes it fast enough. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from infra.facts.instance_types import (
    GIB,
    GP3_BASE_IOPS,
    GP3_BASE_MIBPS,
    GP3_IOPS_PER_MIBPS,
    GP3_MAX_MIBPS,
    GP3_MIN_GIB,
    MIB,
    Disk,
    InstanceType,
)

SYSTEM_GIB = 10  # the image, the wheels and logs, beside two generations
GENERATIONS_ON_DISK = 2  # the serving one and the next

# Measured on the machines of a rehearsal: one core hashes, a snapshot is loaded, the rows of log entries are applied.
VERIFY_MIBPS = 450
LOAD_MIBPS = 600
REPLAY_ROWS_PER_SECOND = 40_000
# Eight entries are fetched at a time: 3.1 to 4.1 ms each where every GET takes S3's 20 ms, 5 ms from the emulator.
REPLAY_ENTRIES_PER_SECOND = 250


@dataclass(frozen=True)
class Boot:
    """Seconds before a replica's process starts; sizing does not change them."""

    detect_seconds: float
    detect_reason: str
    launch_seconds: float
    install_seconds: float

    @property
    def seconds(self) -> float:
        """Return the seconds from the loss to the first download."""
        return self.detect_seconds + self.launch_seconds + self.install_seconds


# Assumed for AWS, where no rehearsal can measure. EC2 checks an instance every minute, and two failed checks count
# (AWS, "Status checks for Amazon EC2 instances"). Then follow launch, from the call to a running bootstrap, and
# installation.
EC2_BOOT = Boot(120, "assumed: two of EC2's status checks, one a minute", launch_seconds=45, install_seconds=30)
# An instance of a rehearsal is a process. Its loss is seen within a second, and it installs nothing.
LOCAL_BOOT = Boot(1, "assumed: a process of this machine", launch_seconds=4, install_seconds=0)


@dataclass(frozen=True)
class Burden:
    """The data that a new replica fetches: the newest snapshot, and at most this much log written since."""

    snapshot_bytes: int
    log_bytes: int = 0
    log_rows: int = 0
    log_entries: int = 0

    @property
    def replay_seconds(self) -> float:
        """Return the time to fetch the log's entries, whatever their size, and to apply their rows."""
        return self.log_rows / REPLAY_ROWS_PER_SECOND + self.log_entries / REPLAY_ENTRIES_PER_SECOND

    @property
    def fixed_seconds(self) -> float:
        """Return the time to hash, load and replay. A faster disk does not shorten it."""
        return self.snapshot_bytes / MIB * (1 / VERIFY_MIBPS + 1 / LOAD_MIBPS) + self.replay_seconds

    @property
    def download_mib(self) -> float:
        """Return the MiB that come over the network."""
        return (self.snapshot_bytes + self.log_bytes) / MIB


@dataclass(frozen=True)
class Recovery:
    """The predicted recovery of one replica, which downloads at `download_mibps`."""

    burden: Burden
    boot: Boot
    download_mibps: float

    @property
    def steps(self) -> dict[str, float]:
        """Return the seconds of each step, in order."""
        boot, mib = self.boot, self.burden.snapshot_bytes / MIB
        return {
            "detect": boot.detect_seconds,
            "launch": boot.launch_seconds,
            "install": boot.install_seconds,
            "download": self.burden.download_mib / self.download_mibps,
            "verify": mib / VERIFY_MIBPS,
            "load": mib / LOAD_MIBPS,
            "replay": self.burden.replay_seconds,
        }

    @property
    def seconds(self) -> float:
        """Return the seconds from the loss to the last row that was written meanwhile."""
        return sum(self.steps.values())

    def to_json(self) -> dict[str, float]:
        """Return plain data, seconds and MiB/s rounded to a tenth."""
        steps = {f"{step}_seconds": seconds for step, seconds in self.steps.items()}
        plain = {**vars(self.burden), "download_mibps": self.download_mibps, **steps, "seconds": self.seconds}
        return {name: round(value, 1) for name, value in plain.items()}


def network_mibps(machine: InstanceType) -> float:
    """Return the sustained rate of the network in MiB/s."""
    return machine.network_gbps * 1e9 / 8 / MIB


def sustained_mibps(machine: InstanceType) -> float:
    """Return the highest rate in MiB/s at which a gp3 volume of this machine can be filled."""
    return min(network_mibps(machine), machine.disk_mibps, GP3_MAX_MIBPS)


def needed_mibps(burden: Burden, budget_seconds: float) -> float:
    """
    Return the MiB/s that bring a replica back in the objective without boot; infinite where no rate does.

    >>> round(needed_mibps(Burden(snapshot_bytes=100 * 2**30), 900), 1), needed_mibps(Burden(2**40), 900)
    (204.1, inf)
    """
    left = budget_seconds - burden.fixed_seconds
    return burden.download_mib / left if left > 0 else math.inf


def in_time(machine: InstanceType, burden: Burden, budget_seconds: float) -> bool:
    """Say whether some gp3 volume of this machine takes the burden in the budget."""
    return needed_mibps(burden, budget_seconds) <= sustained_mibps(machine)


def smallest_disk(burden: Burden, budget_seconds: float) -> Disk:
    """
    Return the cheapest gp3 volume with room for two generations that takes the burden `in_time`.

    >>> smallest_disk(Burden(snapshot_bytes=100 * 2**30), 540)
    Disk(size_gib=210, throughput_mibps=723, iops=3000)
    """
    throughput = max(GP3_BASE_MIBPS, math.ceil(needed_mibps(burden, budget_seconds)))
    return Disk(
        size_gib=max(GP3_MIN_GIB, math.ceil(GENERATIONS_ON_DISK * burden.snapshot_bytes / GIB) + SYSTEM_GIB),
        throughput_mibps=throughput,
        iops=max(GP3_BASE_IOPS, GP3_IOPS_PER_MIBPS * throughput),
    )


def predict(machine: InstanceType, disk: Disk, burden: Burden, boot: Boot = EC2_BOOT) -> Recovery:
    """Predict the recovery of a replica on this machine with this disk."""
    return Recovery(burden, boot, min(sustained_mibps(machine), disk.throughput_mibps))
