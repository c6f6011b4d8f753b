"""Lag behind the documents log on a fleet of processes: an indexer that stands is seen, and one that catches up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.facts.slo import NAMESPACE
from runbooks.fleet.status import FleetView, see
from tests.wire.service_fleet import ServiceFleet, documents, eventually, get, new_fleet, refused, s3_faults

Connect = Callable[[str], Any]
SHARDS = 2
LIMIT_SECONDS = 3.0


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path) -> Iterator[ServiceFleet]:
    """Two routers, of which the tests write through the first and ask the second."""
    one = new_fleet(connect, emulator, tmp_path / "fleet", shards=SHARDS)
    one.lag_seconds = LIMIT_SECONDS
    try:
        one.boot(replicas=1, routers=2)
        yield one
    finally:
        one.stop()


def _write(fleet: ServiceFleet, entries: int) -> int:
    """Return the position of the last of these entries."""
    for number in range(entries):
        position = fleet.client().write(documents([f"d{number}"], "Keys are rotated"))["position"]
    return int(position)


def _seen(fleet: ServiceFleet, router: int = 1) -> FleetView:
    return see(fleet.client(router), SHARDS)


def _metric(fleet: ServiceFleet, router: int, name: str, shard: int) -> float:
    lines = get(f"{fleet.routers[router].url}/metrics")[2].decode().splitlines()
    (value,) = (line.split()[-1] for line in lines if line.startswith(f'{name}{{shard="{shard}"}}'))
    return float(value)


def _greatest(connect: Connect, fleet: ServiceFleet, **more: str) -> float:
    """The longest lag that CloudWatch was told of, over the slot or of one shard."""
    dimensions = [{"Name": n, "Value": v} for n, v in {"Fleet": fleet.name, "Slot": "blue", **more}.items()]
    now = datetime.now(UTC)
    points = connect("cloudwatch").get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName="LagSeconds",
        Dimensions=dimensions,
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((float(point["Maximum"]) for point in points), default=-1.0)


def _standing(fleet: ServiceFleet, router: int = 1) -> FleetView | None:
    found = _seen(fleet, router)
    return found if found.field("standing") == "0 1" else None


def _await_no_lag(fleet: ServiceFleet) -> None:
    def none() -> bool:
        found = _seen(fleet)
        return [found.state, found.field("lag_positions"), found.field("lag_seconds")] == ["complete", "0", "0.0"]

    eventually(none, "a fleet without lag")


def _start_anew(fleet: ServiceFleet) -> None:
    fleet.routers[1].kill()
    fleet.routers[1].start()
    eventually(fleet.routers[1].ready, "a new router")


def test_a_frozen_indexer_is_seen_and_its_end_too(fleet: ServiceFleet, connect: Connect) -> None:
    fleet.await_position(_write(fleet, 3))
    _await_no_lag(fleet)
    with fleet.indexers[0].frozen():
        head = _write(fleet, 5)
        found = eventually(lambda: _standing(fleet), "an indexer that stands")
        assert (found.state, found.head, found.field("lag_positions")) == ("behind", head, "5")
        assert float(found.field("lag_seconds")) > LIMIT_SECONDS
        assert found.behind[0].reason == f"nothing is indexed beyond position {head - 5} of {head}"
        assert all(replica.ready for replica in found.replicas)
        assert _metric(fleet, 1, "vectorfleet_router_lag_positions", 0) == 5
        assert _metric(fleet, 1, "vectorfleet_router_lag_seconds", 1) > LIMIT_SECONDS
        eventually(lambda: _greatest(connect, fleet) > LIMIT_SECONDS, "lag in CloudWatch")
        assert _greatest(connect, fleet, Shard="1") > LIMIT_SECONDS
        words = f"2 had not reached position {head}"
        refused(503, words, lambda: fleet.client(1).search(text="rotated keys", min_position=head))
        # A router that has just started learns the age from the log.
        _start_anew(fleet)
        anew = eventually(lambda: _standing(fleet), "the same by a new router")
        assert float(anew.field("lag_seconds")) > float(found.field("lag_seconds"))
    fleet.await_position(head)
    _await_no_lag(fleet)


def test_an_indexer_that_catches_up_says_how_far_it_is(fleet: ServiceFleet, emulator: str) -> None:
    slow = {
        "method": "PUT",
        "bucket": fleet.index,
        "key_prefix": "builds/",
        "fault": "delay",
        "count": 1000,
        "seconds": 1,
    }
    with fleet.indexers[0].frozen():
        head = _write(fleet, 100)
        # It has not seen the writes come, by which it would judge how fast the head moves on.
        _start_anew(fleet)
        eventually(lambda: _standing(fleet), "an indexer that stands")
    with s3_faults(emulator, slow):
        found = eventually(lambda: (seen := _seen(fleet)).state == "indexing" and seen, "a fleet that is indexed")
        lag = found.behind[0]
        assert lag.reason == f"position {lag.position} of {head} is indexed"
        assert 0 < lag.positions < head
        assert lag.positions_per_second > 0
        assert lag.eta_seconds == pytest.approx(lag.positions / lag.positions_per_second, rel=0.05)
    fleet.await_position(head)
    _await_no_lag(fleet)
