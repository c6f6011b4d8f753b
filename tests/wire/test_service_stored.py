"""A real fleet gives documents back as they were written, makes snapshots when it is asked to, and lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.client import ServiceError
from tests.wire.service_fleet import ServiceFleet, documents, eventually, get, new_fleet

Connect = Callable[[str], Any]
NAMES = [f"note/{number}" for number in range(6)]


@pytest.fixture(scope="module")
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """Two shards of two replicas, six documents."""
    one = new_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=2)
    try:
        one.boot(replicas=2)
        one.await_position(one.client().write(documents(NAMES, "stopping machines"))["position"])
        yield one
    finally:
        one.stop()


def test_a_document_comes_back_as_it_was_written_last(fleet: ServiceFleet) -> None:
    client = fleet.client()
    text = "Überschrift, zuerst. " * 200
    sent = {"source_id": "a b/\n?", "title": "Ä", "text": text, "metadata": {"year": 2026, "open": True}}
    client.write([{"source_id": "a b/\n?", "title": "before", "text": "before"}])
    position = client.write([sent])["position"]
    found = client.document("a b/\n?", min_position=position)
    assert {name: found[name] for name in sent} == sent
    assert (found["position"], found["item"], found["vector"]) == (position, 0, None)
    held = client.lookup(["a b/\n?"], min_position=position)["documents"]["a b/\n?"]
    assert found["content_hash"] == held["content_hash"]
    with pytest.raises(ServiceError, match="there is no document") as caught:
        client.document("a b/\n?", min_position=client.delete("a b/\n?")["position"])
    assert caught.value.status == 404


def test_snapshots_are_made_when_somebody_asks_for_them(fleet: ServiceFleet) -> None:
    client = fleet.client()
    position = client.write(documents(NAMES, "starting machines"))["position"]
    asked = client.take_snapshots(min_position=position)
    assert all(one["position"] >= position for one in asked["shards"])
    wanted = {one["shard"]: one["position"] for one in asked["shards"]}
    assert wanted.keys() == {0, 1}

    def made() -> bool:
        shards = client.snapshots()["shards"]
        return all(any(s["position"] >= wanted[one["shard"]] for s in one["newest"]) for one in shards)

    eventually(made, "a snapshot of each shard", seconds=60)
    eventually(lambda: all(one["generation"] for one in _replicas(fleet)), "replicas on the new base", seconds=60)
    assert sum(one["newest"][0]["documents"] for one in client.snapshots()["shards"]) == len(NAMES)
    # Nothing is new: what is asked for is there already.
    total = [one["total"] for one in client.snapshots()["shards"]]
    assert {one["shard"]: one["position"] for one in client.take_snapshots()["shards"]}.keys() == {0, 1}
    assert [one["total"] for one in client.snapshots()["shards"]] == total


def test_a_snapshot_at_a_position_that_nobody_has_reached_is_refused(fleet: ServiceFleet) -> None:
    with pytest.raises(ServiceError, match=r"no replica of shards \[0, 1\] can make a snapshot now") as caught:
        fleet.client().take_snapshots(min_position=10**9)
    assert caught.value.status == 503


def test_slots_say_which_build_they_have(fleet: ServiceFleet) -> None:
    blue, green = fleet.client().slots()["slots"]
    assert (blue["slot"], blue["build"]["id"]) == ("blue", fleet.client().status()["build"])
    assert (green["slot"], green["build"]) == ("green", None)


def test_what_a_query_string_can_not_mean_is_refused(fleet: ServiceFleet) -> None:
    for path in ("/v1/snapshots?limit=0", "/v1/snapshots?limits=2", "/v1/documents/a?min_position=x"):
        status, kind, body = get(fleet.routers[0].url + path)
        assert (status, kind) == (422, "application/problem+json"), body


def _replicas(fleet: ServiceFleet) -> list[dict[str, Any]]:
    return [one for shard in fleet.client().status()["shards"] for one in shard["replicas"]]
