"""Generations of a real shard: built by another process, adopted by every replica, harmless when a builder dies."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from service.index.rebuild_policy import QUIET_DELTA_ROWS
from service.node.generations import CLAIM_SECONDS, Claim
from service.storage import snapshot
from service.storage.builds import Build, Slots
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log
from tests.wire.service_fleet import (
    PROJECT,
    Member,
    ServiceFleet,
    aws_environment,
    booted_fleet,
    documents,
    eventually,
)

Connect = Callable[[str], Any]
FILLING = QUIET_DELTA_ROWS + 60


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceFleet]:
    """One shard with two replicas."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    with booted_fleet(connect, emulator, tmp_path / "fleet", shards=1, replicas=2) as one:
        yield one


def _fill(fleet: ServiceFleet, prefix: str) -> int:
    names = [f"{prefix}/{number}" for number in range(FILLING)]
    position: int = fleet.client().write(documents(names, f"words about {prefix}"))["position"]
    return position


def _reports(fleet: ServiceFleet) -> list[dict[str, Any]]:
    return [report for node in fleet.nodes if (report := node.ready()) is not None]


def _generation(fleet: ServiceFleet, number: int) -> bool:
    reports = _reports(fleet)
    return len(reports) == 2 and all(report["generation"] >= number for report in reports)


def _builders(node: Member) -> list[psutil.Process]:
    assert node.child is not None
    try:
        return [one for one in psutil.Process(node.child.pid).children(recursive=True) if "build" in one.cmdline()]
    except psutil.NoSuchProcess:
        return []


def _slot(fleet: ServiceFleet) -> tuple[ObjectStore, Build]:
    store = ObjectStore(fleet.index)
    slot = Slots(store).find("blue")
    assert slot is not None
    return store, slot


def _same_state(fleet: ServiceFleet, position: int) -> None:
    fleet.await_position(position)
    first, second = _reports(fleet)
    for name in ("digest", "rows", "documents"):
        assert first[name] == second[name]


def test_a_killed_builder_publishes_nothing(fleet: ServiceFleet) -> None:
    store, slot = _slot(fleet)
    position = _fill(fleet, "first")
    fleet.await_position(position)
    (builder,) = eventually(lambda: [b for node in fleet.nodes for b in _builders(node)], "a builder")
    builder.kill()
    eventually(lambda: not builder.is_running(), "the builder gone")
    assert snapshot.names(store, slot.id, 0) == []
    assert fleet.client().search(text="words about first")["hits"]
    assert [report["generation"] for report in _reports(fleet)] == [0, 0]
    key = f"builds/{slot.id}/shard-00/claims/000001.json"
    held = store.get(key)
    long_ago = store.clock.now_ms() - int(CLAIM_SECONDS * 1000) - 1
    store.replace(key, msgspec.json.encode(Claim("the dead", long_ago)), held.etag)

    ended = threading.Event()
    names: list[str] = []

    def keep_writing() -> None:
        client = fleet.client()
        while not ended.is_set():
            names.append(f"meanwhile/{len(names)}")
            client.write(documents(names[-1:], "words that arrive meanwhile"))

    writing = threading.Thread(target=keep_writing)
    eventually(lambda: [b for node in fleet.nodes for b in _builders(node)], "another builder")
    writing.start()
    try:
        eventually(lambda: _generation(fleet, 1), "both replicas with a base")
    finally:
        ended.set()
        writing.join()
    head = fleet.client().status()["head"]
    _same_state(fleet, head)
    (report, _) = _reports(fleet)
    assert report["documents"] == FILLING + len(names)
    assert 0 < report["base_position"] <= position + len(names)
    held_places = fleet.client().lookup(names, min_position=head)["documents"]
    assert all(held_places.values())


def test_two_builders_of_one_generation_do_no_harm(fleet: ServiceFleet) -> None:
    store, slot = _slot(fleet)
    position = _fill(fleet, "both")
    fleet.await_position(position)
    entry = shard_log(store, slot.id, 0, slot.recipe.embedding.dims).head()
    argv = [sys.executable, "-m", "vectorfleet", "build", "--entry", str(entry), "--generation", "1"]
    builders = [subprocess.Popen(argv, env=node.environment, cwd=PROJECT) for node in fleet.nodes]
    assert [builder.wait(timeout=60) for builder in builders] == [0, 0]
    eventually(lambda: _generation(fleet, 1), "both replicas with a base")
    _same_state(fleet, position)
    for node in fleet.nodes:
        node.kill()
        node.start()
    fleet.await_ready()
    _same_state(fleet, position)
    assert [report["refused"] for report in _reports(fleet)] == [[], []]
    assert all(report["restored_from"].startswith("snapshot ") for report in _reports(fleet))
