"""
Processes of a real fleet killed at random instants while writes go on: nothing that was acknowledged is lost.

`VECTORFLEET_KILLS=200 python -m pytest tests/wire/test_service_kills.py` kills as often as the figures in
docs/guarantees.md say.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.client import ServiceError, Unanswered
from tests.wire.busy import Busy
from tests.wire.service_fleet import Member, ServiceFleet, aws_environment, booted_fleet, documents, eventually

Connect = Callable[[str], Any]
KILLS = int(os.environ.get("VECTORFLEET_KILLS", "20"))
WRITERS = 3
LONGEST_PAUSE_SECONDS = 0.4
BATCH = 5


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceFleet]:
    """Two shards of two replicas, two routers, two indexers."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    with booted_fleet(connect, emulator, tmp_path / "fleet", shards=2, replicas=2, routers=2, indexers=2) as one:
        yield one


class Writers(Busy):
    """Write documents of their own names, now by one router, now by the other, and note what was acknowledged."""

    def __init__(self, fleet: ServiceFleet) -> None:
        super().__init__(WRITERS)
        self._fleet = fleet
        self.acknowledged: list[str] = []
        self.sent = self.failed = 0

    def has_more_than(self, count: int) -> bool:
        """Return True if more writes than these were acknowledged."""
        return len(self.acknowledged) > count

    def work(self, number: int) -> None:
        """Write one batch after another."""
        clients = [self._fleet.client(router, timeout_seconds=5.0) for router in range(len(self._fleet.routers))]
        batch = 0
        while not self.ended.is_set():
            names = [f"w{number}/{batch}/{item}" for item in range(BATCH)]
            batch += 1
            self.sent += BATCH
            try:
                clients[batch % len(clients)].write(documents(names, "words that are written while processes die"))
            except (ServiceError, Unanswered):
                self.failed += BATCH
                self.ended.wait(0.02)
            else:
                self.acknowledged.extend(names)


def test_kills_lose_no_acknowledged_write(fleet: ServiceFleet) -> None:
    chance = random.Random(KILLS)
    killed: dict[str, int] = {}
    with Writers(fleet) as writers:
        for _ in range(KILLS):
            before = len(writers.acknowledged)
            eventually(partial(writers.has_more_than, before), "a write", seconds=60)
            threading.Event().wait(chance.uniform(0, LONGEST_PAUSE_SECONDS))  # a random instant
            victim: Member = chance.choice(fleet.members)
            victim.kill()
            victim.start()
            killed[victim.role] = killed.get(victim.role, 0) + 1
    fleet.await_ready(seconds=120)
    head = fleet.client().status()["head"]
    fleet.await_position(head, seconds=120)
    lost = []
    for first in range(0, len(writers.acknowledged), 200):
        names = writers.acknowledged[first : first + 200]
        found = fleet.client().lookup(names, min_position=head)["documents"]
        lost += [name for name in names if found[name] is None]
    print(f"{killed} killed; {len(writers.acknowledged)} of {writers.sent} writes acknowledged, {len(lost)} lost")
    assert lost == []
    assert set(killed) == {"router", "indexer", "node"}
    digests: dict[int, set[str]] = {}
    for node in fleet.nodes:
        digests.setdefault(node.shard, set()).add(str((node.ready() or {})["digest"]))
    assert [len(found) for found in digests.values()] == [1, 1]
