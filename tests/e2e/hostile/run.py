"""One hostile run: clients at work, faults by the schedule, a time to recover, and the judgement."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rehearsal.emulator.launch import PROJECT
from rehearsal.fleet import described
from service.client import Client, ServiceError, Unanswered
from tests.e2e.hostile.faults import LARGE, Planned, Target, schedule
from tests.e2e.hostile.judge import violations
from tests.e2e.hostile.raw_log import RawLog, read_log
from tests.e2e.hostile.workload import Notes, Workload, await_whole, whole
from tests.e2e.rehearsal import Rehearsal
from tests.rehearsal.programs.project import client as aws
from vectorfleet.api_key import KEY_VARIABLE

RECOVERY_SECONDS = 240.0
SETTLE_SECONDS = 25.0
REPLICAS = 2
BATCH = 500
SHOWN = 20


@dataclass(frozen=True)
class Outcome:
    """The faults, the observations, and the broken promises."""

    seed: int
    faults: Counter[str]
    notes: Notes
    log: RawLog
    recovery_seconds: float
    violations: list[str]

    def summary(self) -> str:
        """The outcome in a few lines."""
        told = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        lines = [
            f"seed {self.seed}: {told}",
            f"{len(self.notes.acknowledged)} writes acknowledged up to position {self.log.head}, "
            f"{self.notes.repeated} repeated, {len(self.notes.counted)} counted by compare-and-set, "
            f"{len(self.notes.looked)} looked up, {len(self.notes.searched)} searched, "
            f"{len(self.notes.claimed)} times whole, {self.notes.refused} calls refused or unanswered",
            f"whole again after {self.recovery_seconds:.1f} s",
            f"{len(self.violations)} broken promises",
        ]
        return "\n".join([*lines, *self.violations[:SHOWN]])


def run(rehearsal: Rehearsal, seed: int, seconds: float, say: Callable[[str], object]) -> Outcome:
    """Break a rehearsal that is up, for so long, and judge what its clients saw."""
    outputs = rehearsal.outputs()
    endpoint, api = outputs["endpoint"], aws(f"http://127.0.0.1:{rehearsal.port}")
    _become_admin(rehearsal)
    chance = random.Random(seed)
    target = Target(rehearsal.root, outputs["documents_bucket"], outputs["index_bucket"], api("s3"), api("ec2"), chance)
    client = Client(endpoint, timeout_seconds=10)
    workload = Workload(endpoint, seed)
    with workload.running() as notes:
        faults = _break(target, client, schedule(chance, seconds), say)
    started = time.monotonic()
    status = await_whole(client, REPLICAS, RECOVERY_SECONDS)
    recovery_seconds = time.monotonic() - started
    log = read_log(target.s3, target.documents)
    if "shards" not in status or not whole(status):
        state = described(status) if "shards" in status else str(status)
        return Outcome(seed, faults, notes, log, recovery_seconds, [f"not whole after {RECOVERY_SECONDS:g} s: {state}"])
    held = _held(client, sorted(log.counted), log.head)
    return Outcome(seed, faults, notes, log, recovery_seconds, violations(log, notes, held))


def _break(target: Target, client: Client, planned: Iterable[Planned], say: Callable[[str], object]) -> Counter[str]:
    """Inject each fault after its pause; before a large one the fleet gets a moment to have something to lose."""
    started, done = time.monotonic(), Counter[str]()
    for pause_seconds, fault in planned:
        time.sleep(pause_seconds)
        if fault in LARGE:
            _settle(client)
        if target.machines() and (said := fault(target)):
            say(f"{time.monotonic() - started:6.1f} s  {said}")
            done[fault.__name__] += 1
    return done


def _settle(client: Client) -> None:
    """Wait until snapshots can be made and are there, for a bounded time."""
    until = time.monotonic() + SETTLE_SECONDS
    asked: dict[int, int] = {}
    while time.monotonic() < until:
        time.sleep(0.2)
        with _unless_refused():
            asked = asked or {one["shard"]: one["position"] for one in client.take_snapshots()["shards"]}
            newest = {one["shard"]: one["newest"] for one in client.snapshots(limit=1)["shards"]}
            if all(newest[shard] and newest[shard][0]["position"] >= least for shard, least in asked.items()):
                return


@contextmanager
def _unless_refused() -> Iterator[None]:
    """Let a broken fleet fail; a refusal would be this tool's own mistake."""
    try:
        yield
    except Unanswered:
        return
    except ServiceError as error:
        if error.status < 500:
            raise


def _become_admin(rehearsal: Rehearsal) -> None:
    """Have this process call the fleet with a key that may ask for snapshots."""
    command = [sys.executable, "-m", "vectorfleet", "keys", "create", "hostile", "--role", "admin"]
    outputs = ["--outputs", str(rehearsal.root / "outputs.json")]
    made = subprocess.run([*command, *outputs], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    os.environ[KEY_VARIABLE] = made.stdout.strip()


def _held(client: Client, names: list[str], position: int) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for first in range(0, len(names), BATCH):
        held |= client.lookup(names[first : first + BATCH], position)["documents"]
    return held
