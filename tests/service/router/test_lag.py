"""The lag of shards behind the documents log, in positions and seconds, also while it is not known."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from service.router import lag as lag_module
from service.router import replicas as replicas_module
from service.router.discovery import NodeAddress, SlotInstances
from service.router.lag import Lag
from service.router.replicas import Replicas, Report
from service.storage.documents import Document, documents_log, to_rows
from service.storage.entry import Damaged
from service.storage.log import Append, Tail, tail_of
from service.storage.objects import Unanswered
from service.wire.messages import LOG_ALONE
from tests.service.emitted import sender
from tests.service.memory_store import MemoryStore

BUILD = "b-1"


class Fleet:
    """A documents log, two shards with a replica each, and a router's lag; seconds pass when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.acknowledged = 0
        self.store = MemoryStore()
        self._tail = Tail()
        monkeypatch.setattr(lag_module, "monotonic", lambda: self.now)
        monkeypatch.setattr(self.store.clock, "now_ms", lambda: int(self.now * 1000))
        monkeypatch.setattr(replicas_module, "aws_client", lambda _: None)
        self.replicas = Replicas(fleet="f", slot="blue", port=8080, shards=2)
        nodes = [NodeAddress(f"i-{shard}", "127.0.0.1", "us-east-1a", shard, "a") for shard in range(2)]
        self.replicas._take(SlotInstances(nodes, []))
        self._cloudwatch = sender(monkeypatch)
        self.lag = self.router()

    def router(self, until: int | None = None) -> Lag:
        """A router that has just started."""
        return Lag(
            self._cloudwatch,
            documents_log(self.store, until),
            self.replicas,
            build=lambda: BUILD,
            acknowledged=lambda: self.acknowledged,
            limit_seconds=30,
        )

    def write(self, entries: int = 1) -> None:
        """Entries by some router."""
        for _ in range(entries):
            rows = to_rows([Document("r", "s")])
            entry = Append(documents_log(self.store), self._tail, rows, f"a{self._tail.number}").run()
            self._tail = tail_of(entry)

    def reach(self, *positions: int, ready: bool = True, stale: str = "", source: str = LOG_ALONE) -> None:
        """The shards' replicas are there."""
        for replica, position in zip(self.replicas.all(), positions, strict=False):
            replica.report = Report(ready, build=BUILD, position=position, stale=stale, restored_from=source)

    def look(self) -> None:
        """One look of the router."""
        asyncio.run(self.lag._look())

    def after(self, seconds: float) -> None:
        """Time passes, with the looks that fall into it."""
        for _ in range(int(seconds)):
            self.now += 1
            self.look()

    def states(self) -> list[str]:
        return [lag.state for lag in self.lag.all()]

    def sent(self) -> dict[tuple[str, str], float]:
        """Return the data for CloudWatch, by metric and shard."""
        return {
            (one["MetricName"], "".join(d["Value"] for d in one["Dimensions"] if d["Name"] == "Shard")): one["Value"]
            for one in self.lag.collect()
        }


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Two shards at the head of a log of ten entries."""
    found = Fleet(monkeypatch)
    found.write(10)
    found.reach(10, 10)
    found.look()
    return found


def test_shards_at_the_head_lag_by_nothing(fleet: Fleet) -> None:
    fleet.after(100)
    assert [(one.state, one.positions, one.seconds) for one in fleet.lag.all()] == [("current", 0, 0.0)] * 2
    assert fleet.sent()["LagSeconds", ""] == 0


def test_lag_is_the_age_of_the_oldest_write_missing(fleet: Fleet) -> None:
    fleet.after(3)
    fleet.write(5)
    fleet.reach(10, 12)
    fleet.after(20)
    fleet.write(7)
    fleet.after(20)
    first, second = fleet.lag.all()
    assert (first.positions, first.seconds, first.state) == (12, 40.0, "standing")
    assert (second.positions, second.seconds) == (10, 40.0)
    assert first.reason == "nothing is indexed beyond position 10 of 22"
    assert fleet.sent() == {
        ("LagSeconds", ""): 40,
        ("LagSeconds", "0"): 40,
        ("LagPositions", "0"): 12,
        ("LagSeconds", "1"): 40,
        ("LagPositions", "1"): 10,
    }
    fleet.reach(22, 16)
    fleet.look()
    assert [(one.state, one.seconds) for one in fleet.lag.all()] == [("current", 0.0), ("current", 20.0)]


def test_a_slot_of_a_past_position_does_not_lag_behind_it(fleet: Fleet) -> None:
    fleet.write(5)
    fleet.reach(12, 11)
    fleet.lag = fleet.router(until=12)
    fleet.after(100)
    assert [(one.positions, one.state) for one in fleet.lag.all()] == [(0, "current"), (1, "standing")]
    assert fleet.lag.head == 12


def test_a_router_that_has_just_started_knows_the_age(fleet: Fleet) -> None:
    fleet.write(5)
    fleet.after(600)
    fleet.lag = fleet.router()
    fleet.look()
    assert [(one.positions, one.seconds) for one in fleet.lag.all()] == [(5, 600.0)] * 2


def test_a_quiet_router_sees_what_others_write_and_itself(fleet: Fleet) -> None:
    fleet.acknowledged = 11
    assert (fleet.lag.head, fleet.lag.of(0).positions) == (11, 1)
    fleet.write(3)
    fleet.look()
    assert fleet.lag.head == 13


def test_a_shard_that_is_indexed_anew_says_how_long(fleet: Fleet) -> None:
    fleet.write(990)
    fleet.now += 5000
    for position in range(0, 400, 10):
        fleet.reach(position, position, ready=position > 200)
        fleet.after(1)
    lag = fleet.lag.of(0)
    assert (lag.state, lag.reason) == ("indexing", "position 390 of 1000 is indexed")
    assert lag.positions_per_second == pytest.approx(10, rel=0.1)
    assert lag.eta_seconds == pytest.approx(61, rel=0.1)
    # As fast as others write it never ends.
    for position in range(400, 800, 10):
        fleet.write(10)
        fleet.reach(position, position)
        fleet.after(1)
    assert (fleet.lag.of(0).state, fleet.lag.of(0).eta_seconds) == ("indexing", None)


def test_a_shard_without_a_ready_replica_is_not_sent(fleet: Fleet) -> None:
    fleet.reach(4, ready=False)
    assert fleet.sent().keys() == {("LagSeconds", ""), ("LagSeconds", "1"), ("LagPositions", "1")}
    assert (fleet.lag.of(0).position, fleet.lag.of(0).positions) == (4, 6)
    fleet.reach(4, 4, ready=False)
    assert fleet.sent() == {}
    fleet.replicas.all()[0].eject()
    assert (fleet.lag.of(0).state, fleet.lag.of(0).seconds) == ("unknown", None)
    assert math.isnan(fleet.lag._figure(0, "seconds"))


def test_a_replica_that_restores_is_not_indexed_anew(fleet: Fleet) -> None:
    fleet.write(90)
    fleet.now += 1000
    for position in range(20):
        fleet.reach(position, position, ready=False, source="snapshot 00000000000000000005-5a1c")
        fleet.after(1)
    assert fleet.states() == ["restoring", "restoring"]
    assert fleet.lag.of(0).reason == "a replica has reached position 19 of 100"


def test_shards_whose_replicas_all_stopped_stand(fleet: Fleet) -> None:
    fleet.reach(10, 10, ready=False, stale="entry 11 is damaged")
    assert fleet.states() == ["standing", "standing"]
    assert fleet.lag.of(0).reason == "every replica has stopped: entry 11 is damaged"


def test_a_head_that_is_not_found_is_not_health(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise Unanswered("no reply")

    with monkeypatch.context() as patched:
        patched.setattr(fleet.lag._log, "head", fail)
        fleet.after(15)
        assert (fleet.states(), fleet.lag.fault) == (["current", "current"], "")
        fleet.after(25)
        assert fleet.states() == ["unknown", "unknown"]
        assert fleet.lag.of(0).reason == "the head of the documents log was last found 40 s ago: no reply"
        assert fleet.sent()["LagSeconds", ""] == 40
    fleet.look()
    assert (fleet.states(), fleet.lag.fault) == (["current", "current"], "")


def test_damage_of_the_documents_log_is_said_at_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise Damaged("documents entry 7 is missing")

    with monkeypatch.context() as patched:
        patched.setattr(fleet.lag._log, "head", fail)
        fleet.look()
        assert (fleet.states(), fleet.lag.fault) == (["unknown", "unknown"], "documents entry 7 is missing")
    fleet.look()
    assert (fleet.states(), fleet.lag.fault) == (["current", "current"], "")


def test_an_age_that_is_not_known_grows_until_it_is(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write(1)
    fleet.now += 100

    def fail(*_: Any) -> None:
        raise Unanswered("no reply")

    with monkeypatch.context() as patched:
        patched.setattr(fleet.lag._log, "read", fail)
        fleet.after(40)
        assert fleet.lag.of(0).seconds == 39
    fleet.look()
    assert fleet.lag.of(0).seconds == 140


def test_a_status_does_not_wait_long_for_the_store(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag_module, "STATUS_LOOK_SECONDS", 0.01)

    async def never() -> None:
        await asyncio.Event().wait()

    async def look() -> None:
        monkeypatch.setattr(fleet.lag, "_look", never)
        await fleet.lag.look()
        await fleet.lag.look()
        assert fleet.lag._looking is not None
        fleet.lag._looking.cancel()

    asyncio.run(look())


def test_a_status_looks_after_it_was_asked(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[int] = []

    async def look() -> None:
        under_way = fleet.lag._look_under_way()
        await asyncio.sleep(0)
        fleet.write(1)
        await fleet.lag.look()
        heads.append(fleet.lag.head)
        await under_way

    asyncio.run(look())
    assert heads == [11]
