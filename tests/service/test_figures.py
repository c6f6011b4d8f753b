"""Metrics of nodes and routers besides searches: memory, drift, backups, drills."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from infra.planning.memory import PROCESS_BYTES
from service.index.shard import CollectionSize, recipes_of
from service.node.cloudwatch_metrics import NodeMetrics
from service.node.memory import modelled_bytes
from service.node.replica import Replica
from service.router.cloudwatch_metrics import DrillAge
from service.storage.collections import MOST_COLLECTIONS, Kind, Registry
from service.wire.limits import MAX_DIMS
from service.wire.messages import PASSED_DRILL_KEY, PassedDrill
from tests.service.emitted import sender
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import build, document

BUILD = build(shards=1)


def _replica(store: MemoryStore, folder: Path) -> Replica:
    replica = Replica(shard_store(store, BUILD, 0, folder))
    replica.boot()
    return replica


def _grow(store: MemoryStore, seed: int) -> None:
    for batch in histories(seed, batches=4):
        write(store, [batch])
        index_all(store, BUILD)


def _proc(folder: Path, *, available_kb: int, resident_kb: int) -> Path:
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 1000 kB\nMemAvailable: {available_kb} kB\nHugePages_Total: 0\n")
    (folder / "self/status").write_text(f"Name:\tpython\nVmRSS:\t{resident_kb} kB\n")
    return folder


def _sent(metrics: NodeMetrics) -> dict[str, float]:
    return {datum["MetricName"]: datum["Value"] for datum in metrics.collect()}


def test_memory_is_that_of_machine_and_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    replica = _replica(MemoryStore(), tmp_path / "disk")
    proc = _proc(tmp_path / "proc", available_kb=250, resident_kb=2 * PROCESS_BYTES // 1024)
    found = _sent(NodeMetrics(sender(monkeypatch), replica, proc))
    assert found["MemoryUsed"] == 75.0
    assert found["FormulaDrift"] == pytest.approx(2.0, rel=0.01)


def test_the_model_grows_with_the_rows() -> None:
    few, many = CollectionSize(build().recipe, 1_000), CollectionSize(build().recipe, 100_000)
    assert modelled_bytes([CollectionSize(build().recipe, 0)]) < modelled_bytes([few]) < modelled_bytes([many])
    both = modelled_bytes([few, many])
    assert both == modelled_bytes([few]) + modelled_bytes([many]) - PROCESS_BYTES


def test_a_hundred_empty_collections_let_a_generation_load() -> None:
    slot, registry = build().recipe, Registry()
    for number in range(MOST_COLLECTIONS):
        registry = registry.with_one(f"c{number}", Kind("vector", MAX_DIMS, "a/1"), number + 1).registry
    empty = [CollectionSize(recipe, 0) for recipe in recipes_of(registry, slot).values()]
    assert modelled_bytes(empty) < modelled_bytes(empty[:1]) + (64 << 20)


def test_a_backup_ages_from_the_first_write_that_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = MemoryStore()
    now_ms = 1_000_000
    monkeypatch.setattr(store.clock, "now_ms", lambda: now_ms)
    once = [document("once", "s", "stop")]
    write(store, [once])
    index_all(store, BUILD)
    _grow(store, 3)
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 5, 1)
    now_ms += 200_000_000
    complete = _replica(store, tmp_path / "a")
    assert (complete.unprotected, complete.backup_age_seconds) == (0, 0)
    # A repetition gives the shard an entry without a record: nothing that the snapshot lacks.
    write(store, [once])
    index_all(store, BUILD)
    assert _replica(store, tmp_path / "b").backup_age_seconds == 0
    for name in ("late", "later"):
        now_ms += 30_000
        write(store, [[document(name, name, "stop")]])
        index_all(store, BUILD)
    now_ms += 30_000
    lacking = _replica(store, tmp_path / "c")
    assert (lacking.unprotected, lacking.backup_age_seconds) == (2, 60)
    without = Replica(shard_store(MemoryStore(), BUILD, 0, tmp_path / "d"))
    assert without.backup_age_seconds == 0


def test_a_drills_age_counts_from_the_last_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    monkeypatch.setattr(store.clock, "now_ms", lambda: 90_000)
    drills = DrillAge(sender(monkeypatch), store)
    drills._passed = drills._read()
    assert drills._collect() == []
    store.objects[PASSED_DRILL_KEY] = msgspec.json.encode(PassedDrill("RB-02", 30_000))
    drills._passed = drills._read()
    (datum,) = drills._collect()
    assert (datum["MetricName"], datum["Value"], datum["Unit"]) == ("DrillAge", 60.0, "Seconds")
