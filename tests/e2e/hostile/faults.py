"""The faults of the schedule: signals to processes, calls to EC2, and objects that are spoiled or deleted in S3."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOLE_ENTRIES = 9
FREEZE_SECONDS = (1.0, 5.0)
PAUSES_SECONDS = (0.5, 4.0)


@dataclass
class Target:
    """A standing rehearsal: its state folder, its buckets and clients of its emulated AWS."""

    root: Path
    documents: str
    index: str
    s3: Any
    ec2: Any
    chance: random.Random

    def machines(self, **wanted: str) -> list[dict[str, Any]]:
        """The running machines, as compute lists them, that have these values."""
        rows = json.loads((self.root / "compute.json").read_text())["instances"]
        fitting = (row for row in rows if all(str(row[name]) == value for name, value in wanted.items()))
        return [row for row in fitting if row["pid"] and row["state"] == "running"]

    def keys(self, prefix: str, after: str = "") -> list[str]:
        """The keys of the index bucket below a prefix and behind a key, in order."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.index, Prefix=prefix, StartAfter=after)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def shard_folder(self) -> tuple[str, str]:
        """A shard by chance, and the prefix of its build."""
        shard = self.chance.randrange(2)
        build = json.loads(self.body("slots/blue.json"))["id"]
        return str(shard), f"builds/{build}/shard-{shard:02d}/"

    def body(self, key: str) -> bytes:
        """An object of the index bucket."""
        return bytes(self.s3.get_object(Bucket=self.index, Key=key)["Body"].read())

    def newest_snapshot_entry(self, folder: str) -> int:
        """The shard-log entry of the newest snapshot below a shard's folder; 0 without one that can be read."""
        entries = [0]
        for key in self.keys(f"{folder}snapshots/"):
            if key.endswith("/manifest.json"):
                with suppress(ValueError, KeyError):
                    entries.append(json.loads(self.body(key))["entry"])
        return max(entries)

    def terminate(self, **wanted: str) -> int:
        """Terminate these machines through the EC2 API; says how many there were."""
        found = [row["instance"] for row in self.machines(**wanted)]
        if found:
            self.ec2.terminate_instances(InstanceIds=found)
        return len(found)

    def delete(self, keys: list[str]) -> None:
        """Delete objects of the index bucket."""
        for first in range(0, len(keys), 1000):
            objects = [{"Key": key} for key in keys[first : first + 1000]]
            answer = self.s3.delete_objects(Bucket=self.index, Delete={"Objects": objects, "Quiet": True})
            assert not answer.get("Errors"), answer["Errors"][:3]


def _signalled(row: dict[str, Any], number: int) -> bool:
    try:
        os.killpg(row["pid"], number)
    except ProcessLookupError:
        return False
    return True


def kill(target: Target) -> str:
    """SIGKILL a process with its children."""
    row = target.chance.choice(target.machines())
    _signalled(row, signal.SIGKILL)
    return f"SIGKILL to {row['role']} {row['instance']}"


def freeze(target: Target) -> str:
    """SIGSTOP a process for some seconds while everything else goes on."""
    row = target.chance.choice(target.machines())
    seconds = target.chance.uniform(*FREEZE_SECONDS)
    if _signalled(row, signal.SIGSTOP):
        threading.Timer(seconds, _signalled, (row, signal.SIGCONT)).start()
    return f"SIGSTOP for {seconds:.1f} s to {row['role']} {row['instance']}"


def terminate_one(target: Target) -> str:
    """Terminate one machine, its disk with it."""
    row = target.chance.choice(target.machines())
    target.ec2.terminate_instances(InstanceIds=[row["instance"]])
    return f"terminated {row['role']} {row['instance']}"


def terminate_all(target: Target) -> str:
    """Terminate every machine of the fleet at once."""
    return f"terminated all {target.terminate()} machines"


def flip_snapshot(target: Target) -> str:
    """Flip one bit of the newest snapshot of a shard, and terminate the shard's nodes."""
    shard, folder = target.shard_folder()
    files = target.keys(f"{folder}snapshots/")
    if not files:
        return ""
    newest = files[-1].rsplit("/", 1)[0]
    key = target.chance.choice([one for one in files if one.startswith(newest)])
    body = bytearray(target.body(key))
    body[target.chance.randrange(len(body))] ^= 1 << target.chance.randrange(8)
    target.s3.put_object(Bucket=target.index, Key=key, Body=bytes(body))
    return f"flipped a bit of {key} and terminated {target.terminate(role='node', shard=shard)} nodes"


def delete_snapshots(target: Target) -> str:
    """Delete every snapshot of a shard, and terminate the shard's nodes."""
    shard, folder = target.shard_folder()
    files = target.keys(f"{folder}snapshots/")
    if not files:
        return ""
    target.delete(files)
    nodes = target.terminate(role="node", shard=shard)
    return f"deleted {len(files)} files of shard {shard}'s snapshots and terminated {nodes} nodes"


def hole(target: Target) -> str:
    """Delete nine entries in the middle of a shard log, behind its newest snapshot, and terminate the shard's nodes."""
    shard, folder = target.shard_folder()
    behind = target.newest_snapshot_entry(folder)
    entries = target.keys(f"{folder}log/", after=f"{folder}log/{behind:020d}.z")
    middle = entries[1 : 1 + HOLE_ENTRIES]
    if len(entries) < HOLE_ENTRIES + 2:
        return ""
    target.delete(middle)
    nodes = target.terminate(role="node", shard=shard)
    return f"deleted {len(middle)} entries of shard {shard}'s log behind {behind} and terminated {nodes} nodes"


def empty_index(target: Target) -> str:
    """Delete everything in the index bucket, and terminate every machine."""
    keys = target.keys("")
    target.delete(keys)
    return f"deleted all {len(keys)} objects of the index bucket and terminated {target.terminate()} machines"


def wipe_builds(target: Target) -> str:
    """Delete all builds, but not the pointers to them, and terminate every node."""
    keys = target.keys("builds/")
    target.delete(keys)
    return f"deleted {len(keys)} objects of builds/ and terminated {target.terminate(role='node')} nodes"


# A fault says what it did; nothing where there was nothing to break.
Fault = Callable[[Target], str]
Planned = tuple[float, Fault]
SMALL: tuple[Fault, ...] = (kill, kill, kill, freeze, freeze, terminate_one)
# Faults of snapshots come first: after the others, the next snapshot may take longer than a settling.
OF_SNAPSHOTS: tuple[Fault, ...] = (flip_snapshot, delete_snapshots)
OF_EVERYTHING: tuple[Fault, ...] = (hole, terminate_all, wipe_builds, empty_index)
LARGE = (*OF_SNAPSHOTS, *OF_EVERYTHING)


def schedule(chance: random.Random, seconds: float) -> Iterator[Planned]:
    """Faults, each with the pause before it: every large one in a new order, small ones in between."""
    large = [fault for faults in (OF_SNAPSHOTS, OF_EVERYTHING) for fault in chance.sample(faults, len(faults))]
    for fault in large:
        left = seconds / len(large)
        while (pause := chance.uniform(*PAUSES_SECONDS)) < left:
            left -= pause
            yield pause, chance.choice(SMALL)
        yield left, fault
