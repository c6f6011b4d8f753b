"""An entry that ends three processes is not applied a fourth time. Nothing is skipped, and an operator can lift it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.index.collection import CollectionIndex
from service.node import replica as replica_module
from service.node.crashes import CRASH_LIMIT, NOTES, Crashes, PoisonousEntry
from service.node.replica import Replica
from service.storage.objects import StoredObject, Unanswered
from service.storage.shards import Record
from tests.service.memory_store import Crashed, MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, write
from tests.service.small_space import build

BUILD = build(shards=1)
POISON = 4


@pytest.fixture
def store() -> MemoryStore:
    """A shard log of six entries."""
    store = MemoryStore()
    for batch in histories(3, batches=6):
        write(store, [batch])
        index_all(store, BUILD)
    return store


def _boot(store: MemoryStore, folder: Path, deadly: int | None = None) -> Replica:
    """Boot a replica as a new process would; the process ends at records of position `deadly`."""
    replica = Replica(shard_store(store, BUILD, 0, folder))
    if deadly is not None:
        index = CollectionIndex.apply

        def apply(self: object, record: Record) -> None:
            if record.position == deadly:
                raise Crashed
            index(self, record)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(CollectionIndex, "apply", apply)
            replica.boot()
    else:
        replica.boot()
    return replica


def _crash(store: MemoryStore, folder: Path, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Crashed):
            _boot(store, folder, POISON)


def test_after_three_crashes_the_entry_before_is_served(store: MemoryStore, tmp_path: Path) -> None:
    _crash(store, tmp_path, CRASH_LIMIT)
    replica = _boot(store, tmp_path, POISON)
    assert (replica.restored, replica.ready) == (True, False)
    assert replica.position == POISON - 1
    assert f"entry {POISON}: {CRASH_LIMIT} processes ended" in replica.stale


def test_a_successor_that_ends_is_not_counted_as_a_crash(store: MemoryStore, tmp_path: Path) -> None:
    deadly = CollectionIndex.apply

    def apply(self: CollectionIndex, record: Record) -> None:
        if record.position == POISON:
            raise Crashed
        deadly(self, record)

    for _ in range(CRASH_LIMIT):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(CollectionIndex, "apply", apply)
            with pytest.raises(Crashed):
                Replica(shard_store(store, BUILD, 0, tmp_path)).succeed(None)
    assert _boot(store, tmp_path).position == 6


def test_the_count_outlives_the_disk_and_is_shared_by_replicas(store: MemoryStore, tmp_path: Path) -> None:
    for folder in ("a", "b", "a"):
        _crash(store, tmp_path / folder, 1)
    # A crash is counted when the next process on the same disk starts.
    for folder in ("a", "b"):
        Crashes(shard_store(store, BUILD, 0, tmp_path / folder)).collect()
    replica = _boot(store, tmp_path / "replaced", POISON)
    assert (replica.position, replica.restored) == (POISON - 1, True)


def test_two_crashes_are_forgotten_once_the_entry_was_applied(store: MemoryStore, tmp_path: Path) -> None:
    _crash(store, tmp_path, CRASH_LIMIT - 1)
    assert _boot(store, tmp_path).position == 6
    assert not [key for key in store.objects if "/crashes/" in key]
    _crash(store, tmp_path, CRASH_LIMIT - 1)
    assert (_boot(store, tmp_path).stale, _boot(store, tmp_path).position) == ("", 6)


def test_a_crash_counts_once_although_a_reply_was_lost(store: MemoryStore, tmp_path: Path) -> None:
    _crash(store, tmp_path, 1)
    store.fault_of = lambda number, key: "lost_reply" if "/crashes/" in key else ""
    with pytest.raises(Unanswered):
        _boot(store, tmp_path)
    store.fault_of = lambda number, key: ""
    crashes = Crashes(shard_store(store, BUILD, 0, tmp_path))
    crashes.collect()
    assert len([key for key in store.objects if "/crashes/" in key]) == 1
    assert crashes.counted(POISON) == [POISON]


def test_a_note_that_was_cut_short_counts_nothing(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / NOTES).write_bytes(b'{"entry": 4, "pro')
    assert _boot(store, tmp_path).position == 6
    assert not (tmp_path / NOTES).exists()


def test_a_full_disk_does_not_stop_the_replay(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert _boot(store, tmp_path).position == 6


def test_deleting_the_counts_lifts_the_block(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "DAMAGE_PAUSE_SECONDS", 0.002)
    _crash(store, tmp_path, CRASH_LIMIT)
    replica = _boot(store, tmp_path)
    asked: list[str] = []
    get = store.get

    def counting(key: str) -> StoredObject:
        asked.append(key)
        return get(key)

    monkeypatch.setattr(store, "get", counting)

    async def run() -> None:
        follow = asyncio.create_task(replica.follow())
        try:
            # It keeps reading the counts, and keeps refusing.
            while len(asked) < 3:
                assert not await replica.reaches(POISON, 0.01)
            assert replica.stale
            for key in [key for key in store.objects if "/crashes/" in key]:
                store.delete(key)
            assert await replica.reaches(6, 10)
        finally:
            follow.cancel()

    asyncio.run(asyncio.wait_for(run(), 20))
    assert replica.stale == ""


def test_the_refusal_says_what_to_do(store: MemoryStore, tmp_path: Path) -> None:
    _crash(store, tmp_path, CRASH_LIMIT)
    crashes = Crashes(shard_store(store, BUILD, 0, tmp_path))
    crashes.collect()
    with pytest.raises(PoisonousEntry, match=r"fix the cause, then delete builds/b-test/shard-00/crashes/0+4/ in"):
        crashes.check(POISON)
    crashes.check(POISON + 1)
