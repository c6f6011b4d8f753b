"""A replica follows its log while it serves, waits for positions, and changes its base without losing a record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from service.index.rows import digest_text
from service.indexer import indexer as indexer_module
from service.node import replica as replica_module
from service.node.replica import Replica
from service.storage.documents import documents_log
from service.storage.objects import StoredObject, Unanswered
from service.storage.shards import shard_log
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import Batch, fold, histories, index_all, indexer, shard_store, snapshot_at, write
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


def test_entries_are_applied_as_they_appear_and_wake_waiters(tmp_path: Path) -> None:
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


def test_a_failing_store_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, batches = MemoryStore(), histories(1, batches=3)
    _grow(store, batches[:1])
    get = store.get
    failing = True

    def unwell(key: str) -> StoredObject:
        if failing and key.endswith("2.arrow") and "shard" in key:
            raise Unanswered("get: 503")
        return get(key)

    async def test(replica: Replica) -> None:
        nonlocal failing
        grown = MemoryStore()
        grown.objects = dict(store.objects)
        await asyncio.to_thread(_grow, grown, batches[1:2])
        # The store fails before the entry is written, or the replica would be quicker.
        monkeypatch.setattr(store, "get", unwell)
        store.objects = grown.objects
        assert not await replica.reaches(2, 0.05)
        failing = False
        assert await replica.reaches(2, 10)

    _following(store, tmp_path, test)


def test_a_replica_is_stale_until_a_damaged_entry_is_repaired(tmp_path: Path) -> None:
    store, batches = MemoryStore(), histories(1, batches=4)
    _grow(store, batches)
    key = shard_log(store, BUILD.id, 0, DIMS).key(3)
    body, store.objects[key] = store.objects[key], b"damaged"

    async def test(replica: Replica) -> None:
        assert not await replica.reaches(3, 0.05)
        assert (replica.position, "entry 3" in replica.stale) == (2, True)
        described = replica.describe()
        assert described["stale"] == described["reason"] == replica.stale
        assert (described["restored"], described["ready"]) == (True, False)
        store.objects[key] = body
        assert await replica.reaches(4, 10)
        assert (replica.stale, replica.ready) == ("", True)

    _following(store, tmp_path, test)


def test_a_hole_before_a_serving_replica_makes_it_stale(tmp_path: Path) -> None:
    """Nine entries are more than are read ahead."""
    store, batches = MemoryStore(), histories(6, batches=15)
    _grow(store, batches[:2])

    async def test(replica: Replica) -> None:
        assert (await replica.reaches(2, 10), replica.ready) == (True, True)
        grown = MemoryStore()
        grown.objects = dict(store.objects)
        await asyncio.to_thread(_grow, grown, batches[2:])
        key = shard_log(store, BUILD.id, 0, DIMS).key
        lost = {key(number): grown.objects.pop(key(number)) for number in range(3, 13)}
        store.objects = grown.objects
        while not replica.stale:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert replica.reason == "b-test/shard-00 entries 3 to 12 are missing, but entry 13 is there"
        store.objects |= lost
        assert await replica.reaches(15, 10)
        assert replica.ready

    _following(store, tmp_path, test)


def test_a_replica_is_ready_once_it_covers_the_head_at_start(tmp_path: Path) -> None:
    store, batches = MemoryStore(), histories(1, batches=6)
    write(store, batches[:2])
    index_all(store, BUILD)
    write(store, batches[2:4])

    async def test(replica: Replica) -> None:
        assert replica.restored
        assert replica.reason == "applied up to documents position 2; ready from 4, the head seen at start"
        # Later writes don't matter for its start.
        write(store, batches[4:])
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(indexer_module, "STEP_ENTRIES", 2)
            indexer(store, BUILD).step()
        assert await replica.reaches(4, 10)
        assert (replica.ready, replica.position) == (True, 4)

    _following(store, tmp_path, test)


def test_a_replica_of_a_past_position_is_ready_there(tmp_path: Path) -> None:
    store = MemoryStore()
    write(store, histories(1, batches=6))
    index_all(store, BUILD, until=4)
    replica = Replica(shard_store(store, BUILD, 0, tmp_path)._replace(until=4))
    replica.boot()
    assert (replica.ready, replica.covers, replica.position) == (True, 4, 4)


def test_a_replica_tells_the_digests_of_the_last_common_positions(tmp_path: Path) -> None:
    store, batches = MemoryStore(), histories(1, batches=40, voids=0.1)
    digests: list[set[tuple[int, str]]] = []
    for shards in (1, 2):
        known = build(shards=shards, name=f"b-{shards}")
        if shards == 1:
            write(store, batches)
        index_all(store, known)
        replicas = [
            Replica(shard_store(store, known, shard, tmp_path / f"{shards}-{shard}")) for shard in range(shards)
        ]
        for replica in replicas:
            replica.boot()
        told = [cast("dict[int, str]", replica.describe()["digests"]) for replica in replicas]
        assert {*map(tuple, told)} == {(16, 32, 40)}
        digests.append({(at, digest_text(sum(int(one[at], 16) for one in told))) for at in told[0]})
    assert digests[0] == digests[1]


def test_without_documents_a_replica_is_ready_at_once(tmp_path: Path) -> None:
    replica = Replica(shard_store(MemoryStore(), BUILD, 0, tmp_path))
    replica.boot()
    assert (replica.ready, replica.covers) == (True, 0)


def test_a_replica_is_not_ready_while_it_looks_for_the_head(tmp_path: Path) -> None:
    store, seen = MemoryStore(), []
    _grow(store, histories(1, batches=2))

    class Asked(MemoryStore):
        def keys(self, prefix: str, after: str = "") -> Iterator[str]:
            seen.append((replica.restored, replica.ready))
            return store.keys(prefix, after)

    replica = Replica(shard_store(store, BUILD, 0, tmp_path)._replace(documents=Asked()))
    replica.boot()
    assert (seen, replica.ready) == ([(True, False)], True)


@pytest.mark.parametrize("lost", [range(4, 5), range(6, 7), range(1, 7), range(7, 8)])
def test_a_replica_of_a_log_with_a_hole_is_not_ready(tmp_path: Path, lost: range) -> None:
    store, documents = MemoryStore(), MemoryStore()
    write(store, histories(1, batches=6))
    index_all(store, BUILD)
    write(store, histories(2, batches=2))
    key = documents_log(store).key
    documents.objects = dict(store.objects)
    kept = {key(number): documents.objects.pop(key(number)) for number in lost}
    replica = Replica(shard_store(store, BUILD, 0, tmp_path)._replace(documents=documents))
    replica.boot()
    if lost == range(4, 5):
        assert replica.reason == "applied up to documents position 6; ready from 8, the head seen at start"
        return
    assert "the documents head is not known: documents entr" in replica.reason

    async def learn() -> None:
        learning = asyncio.create_task(replica.learn_head())
        await asyncio.sleep(0.01)
        documents.objects |= kept
        await asyncio.wait_for(learning, 10)

    asyncio.run(learn())
    assert replica.covers == 8


def test_a_successor_is_ready_where_its_predecessor_was(tmp_path: Path) -> None:
    """While writes go on, every shard is behind the newest document for moments, but stays complete."""
    store, batches = MemoryStore(), histories(5, batches=6)
    _grow(store, batches[:4])
    shard = shard_store(store, BUILD, 0, tmp_path)
    before = Replica(shard)
    before.boot()
    name = snapshot_at(shard, 3, 1)
    write(store, batches[4:])
    successor, stranger = Replica(shard), Replica(shard)
    successor.succeed(name, before.covers)
    stranger.succeed(name)
    assert (before.ready, successor.ready, stranger.ready) == (True, True, False)
    assert stranger.covers == 6


def test_successors_agree_with_the_log_while_records_arrive(tmp_path: Path) -> None:
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
