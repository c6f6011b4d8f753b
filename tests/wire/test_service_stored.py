"""A real fleet gives documents back as they were written, makes snapshots when it is asked to, and lists them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import ServiceError
from tests.stack_outputs import written
from tests.wire.service_fleet import PROJECT, ServiceFleet, aws_environment, documents, eventually, get, new_fleet

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


def test_a_snapshot_at_an_unreached_position_is_refused(fleet: ServiceFleet) -> None:
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


def _backups(fleet: ServiceFleet, outputs: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and snapshots of the verb."""
    written(outputs.parent, fleet=fleet.name, endpoint=fleet.routers[0].url, shards=2)
    argv = [sys.executable, "-m", "vectorfleet", "backups", "--outputs", str(outputs), "--within", "60s", "--json"]
    done = subprocess.run([*argv, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["newest"]


def test_a_damaged_snapshot_is_found_by_a_verification(
    fleet: ServiceFleet, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    fleet.client().write(documents(NAMES, "verifying machines"))

    def verified() -> list[dict[str, Any]]:
        code, found = _backups(fleet, tmp_path / "outputs.json", "--verify")
        assert (code, [one["shard"] for one in found]) == (0, [0, 1])
        return found if {one["level"] for one in found} <= {"files", "served"} else []

    assert _backups(fleet, tmp_path / "outputs.json", "--now")[0] == 0
    # A builder may publish a newer snapshot while an older one is verified.
    newest = eventually(verified, "verified snapshots")
    store, victim = fleet.index_store(), newest[1]
    (key,) = (key for key in store.keys("builds/") if f"/{victim['name']}/rows.arrow" in key)
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    store.download(key, whole)
    damaged.write_bytes(whole.read_bytes()[:-1] + b"?")
    store.upload(damaged, key)
    code, newest = _backups(fleet, tmp_path / "outputs.json", "--verify")
    assert (code, newest[0]["refused"]) == (1, "")
    # A node that was about to serve the snapshot may have read it first.
    assert "rows.arrow has" in newest[1]["refused"] or "found it damaged" in newest[1]["refused"]
    _, _, metrics = get(f"{fleet.routers[0].url}/metrics")
    assert b"vectorfleet_router_snapshots_refused 1.0" in metrics
    store.upload(whole, key)
    code, newest = _backups(fleet, tmp_path / "outputs.json", "--verify")
    assert (code, newest[1]["refused"]) == (0, "")
