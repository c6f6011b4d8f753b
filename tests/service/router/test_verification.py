"""A node compares its live set when asked, gives way where it is wrong, and stays where nothing is known."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.node import builder as build_module
from service.node.builder import digest
from service.node.replica import Replica
from service.node.verification import Fold, FoldFailed, Verification
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import build

BUILD = build(shards=1)


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    """Of a shard of six entries with a snapshot at the fourth."""
    store = MemoryStore()
    for batch in histories(4, batches=6):
        write(store, [batch])
        index_all(store, BUILD)
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 4, 1)
    one = Replica(shard_store(store, BUILD, 0, tmp_path / "serving"))
    one.boot()
    return one


def _verify(replica: Replica, fold: Fold, answers: int = 1) -> int:
    """Return the number of requests for a successor after so many folds."""

    async def run() -> int:
        succeeded, folded = 0, asyncio.Semaphore(0)

        async def succeed() -> bool:
            nonlocal succeeded
            succeeded += 1
            return False

        async def noted(entry: int) -> str:
            folded.release()
            return await fold(entry)

        verification = Verification(replica, succeed, noted)
        running = asyncio.create_task(verification.run())
        for _ in range(answers):
            verification.ask()
            await asyncio.wait_for(folded.acquire(), 10)
            while verification.pending and not running.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not running.done()
        running.cancel()
        return succeeded

    return asyncio.run(run())


async def _from_s3(replica: Replica, entry: int) -> str:
    return digest(replica.shard, entry)


def test_a_fold_does_not_look_behind_its_entry(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "give_way", lambda: None)
    store = replica.shard.store
    assert isinstance(store, MemoryStore)
    store.objects[replica.shard.log.key(6)] = b"damaged"
    damaged = Replica(replica.shard)
    damaged.boot()
    assert (damaged.position, "entry 6" in damaged.stale) == (5, True)
    assert digest(replica.shard, 5) == damaged.index.digest


def test_who_is_right_stays(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "give_way", lambda: None)
    assert _verify(replica, lambda entry: _from_s3(replica, entry), answers=2) == 0


def test_who_is_wrong_asks_for_a_successor(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "give_way", lambda: None)
    held = replica.index.default
    forgotten, where = next(held._all())
    held._drop(forgotten, where)
    assert _verify(replica, lambda entry: _from_s3(replica, entry)) == 1


def test_a_fold_that_fails_says_nothing_and_is_asked_again(replica: Replica) -> None:
    async def failing(entry: int) -> str:
        raise FoldFailed("exit code 1")

    assert _verify(replica, failing, answers=2) == 0
