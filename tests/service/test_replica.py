"""A replica follows its log while it serves, waits for positions, and changes its base without losing a record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.node import replica as replica_module
from service.node.replica import Replica
from service.storage.objects import Stored, Unanswered
from service.storage.shards import shard_log
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import Batch, fold, histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import DIMS, build

BUILD = build(shards=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "FIRST_IDLE_SECONDS", 0.001)
    monkeypatch.setattr(replica_module, "LONGEST_IDLE_SECONDS", 0.002)
    monkeypatch.setattr(replica_module, "DAMAGE_PAUSE_SECONDS", 0.002)


def _grow(store: MemoryStore, batches: list[Batch]) -> None:
    for batch in batches:
        write(store, [batch])
        index_all(store, BUILD)


def _following(store: MemoryStore, folder: Path, test: Callable[[Replica], Awaitable[None]]) -> None:
    """Run `test` while a booted replica follows its log."""

    async def run() -> None:
        replica = Replica(shard_store(store, BUILD, 0, folder))
        await asyncio.to_thread(replica.boot)
        follow = asyncio.create_task(replica.follow())
        try:
            await asyncio.wait_for(test(replica), 20)
        finally:
            follow.cancel()

    asyncio.run(run())


def test_entries_are_applied_as_they_appear_and_waiters_are_woken(tmp_path: Path) -> None:
    store, batches = MemoryStore(), histories(1, batches=6)
    _grow(store, batches[:2])

    async def test(replica: Replica) -> None:
        assert await replica.reaches(2, 0)
        assert not await replica.reaches(3, 0.01)
        waiting = [asyncio.create_task(replica.reaches(position, 10)) for position in (3, 6)]
        await asyncio.to_thread(_grow, store, batches[2:])
        assert await asyncio.gather(*waiting) == [True, True]
        live = fold(batches, BUILD, 0, 6)
        assert (replica.index.rows, replica.position) == (len(live), 6)

    _following(store, tmp_path, test)


def test_an_unwell_store_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, batches = MemoryStore(), histories(1, batches=3)
    _grow(store, batches[:1])
    get = store.get
    failing = True

    def unwell(key: str) -> Stored:
        if failing and key.endswith("2.arrow") and "shard" in key:
            raise Unanswered("get: 503")
        return get(key)

    async def test(replica: Replica) -> None:
        nonlocal failing
        grown = MemoryStore()
        grown.objects = dict(store.objects)
        await asyncio.to_thread(_grow, grown, batches[1:2])
        # Unwell before the entry is there: the replica would else be quicker.
        monkeypatch.setattr(store, "get", unwell)
        store.objects = grown.objects
        assert not await replica.reaches(2, 0.05)
        failing = False
        assert await replica.reaches(2, 10)

    _following(store, tmp_path, test)


def test_a_damaged_entry_makes_a_serving_replica_stale_until_it_is_repaired(tmp_path: Path) -> None:
    store, batches = MemoryStore(), histories(1, batches=4)
    _grow(store, batches)
    key = shard_log(store, BUILD.id, 0, DIMS).key(3)
    body, store.objects[key] = store.objects[key], b"damaged"

    async def test(replica: Replica) -> None:
        assert replica.ready
        assert not await replica.reaches(3, 0.05)
        assert (replica.position, "entry 3" in replica.stale) == (2, True)
        described = replica.describe()
        assert described["stale"] == replica.stale
        store.objects[key] = body
        assert await replica.reaches(4, 10)
        assert replica.stale == ""

    _following(store, tmp_path, test)


def test_successors_among_arriving_records_hold_what_the_log_says(tmp_path: Path) -> None:
    store, batches = MemoryStore(), histories(5, batches=12)
    _grow(store, batches[:5])
    shard = shard_store(store, BUILD, 0, tmp_path / "disk")

    async def test(replica: Replica) -> None:
        for generation, entry in enumerate((3, 5, 8), start=1):
            _grow(store, batches[replica.position : entry + 2])
            name = snapshot_at(shard, entry, generation)
            assert await replica.reaches(min(entry + 2, 12), 10)
            successor = Replica(shard)
            successor.succeed(name)
            assert (successor.base_position, successor.generation) == (entry, generation)
            for one in ("digest", "rows", "documents", "position"):
                assert successor.describe()[one] == replica.describe()[one]
        _grow(store, batches[replica.position :])
        assert await replica.reaches(12, 10)
        live = fold(batches, BUILD, 0, 12)
        assert (replica.index.rows, replica.index.documents) == (len(live), len({source for source, *_ in live}))

    _following(store, tmp_path / "disk", test)
