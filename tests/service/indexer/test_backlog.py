"""The indexer slows down when snapshots lag behind what it appends, and no sooner."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.indexer import backlog as backlog_module
from service.indexer import indexer as indexer_module
from service.indexer.backlog import LONGEST_PAUSE_SECONDS, Backlog
from service.storage import snapshot
from service.storage.objects import Unanswered
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import fold, histories, indexer, shard_store, snapshot_at, write
from tests.service.small_space import build

BUILD = build(shards=2)


@pytest.fixture(autouse=True)
def _always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "LOOK_SECONDS", 0.0)


@pytest.fixture
def backlog() -> Backlog:
    """A backlog without any snapshot."""
    return Backlog(MemoryStore(), BUILD)


@pytest.mark.parametrize(("rows", "share"), [(0, 0), (100_000, 0), (150_000, 0.5), (200_000, 1), (900_000, 1)])
def test_the_pause_begins_at_the_limit_and_has_an_end(backlog: Backlog, rows: int, share: float) -> None:
    backlog.appended(0, 2, 5)
    backlog.appended(1, 2, rows)
    assert backlog.rows == max(5, rows)
    assert backlog.pause_seconds() == pytest.approx(share * LONGEST_PAUSE_SECONDS)


def test_a_large_base_allows_a_larger_backlog(backlog: Backlog) -> None:
    backlog._shards[0].base_rows = 10_000_000
    backlog.appended(0, 2, 5_000_000)
    assert backlog.pause_seconds() == 0
    backlog.appended(0, 3, 2_500_000)
    assert backlog.pause_seconds() == pytest.approx(LONGEST_PAUSE_SECONDS / 2)


def test_a_snapshot_reduces_the_backlog(tmp_path: Path) -> None:
    store, batches = MemoryStore(), histories(4, batches=8)
    one = indexer(store, BUILD)
    for batch in batches:
        write(store, [batch])
        one.step()
    everything = one.backlog._shards[0].rows
    assert everything > 0
    before = [appended for appended in one.backlog._shards[0]._appended if appended.end - 1 > 5]
    snapshot_at(shard_store(store, BUILD, 0, tmp_path), 5, 1)
    one.backlog.look()
    assert list(one.backlog._shards[0]._appended) == before
    assert one.backlog._shards[0].rows == sum(appended.rows for appended in before) < everything
    assert one.backlog._shards[0].base_rows == len(fold(batches, BUILD, 0, 5))
    assert one.backlog._shards[1].rows == sum(appended.rows for appended in one.backlog._shards[1]._appended)


def test_rows_that_another_indexer_appended_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store, batches = MemoryStore(), histories(4, batches=4)
    first, second = indexer(store, BUILD), indexer(store, BUILD)
    write(store, batches)
    with monkeypatch.context() as patched:
        patched.setattr(indexer_module, "STEP_ENTRIES", 2)
        first.step()
    second.step()
    first.step()
    assert [shard.rows for shard in first.backlog._shards] == [shard.rows for shard in second.backlog._shards]
    assert first.backlog.rows > 0


def test_a_failing_store_and_a_damaged_manifest_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    one = indexer(store, BUILD)
    write(store, histories(4, batches=4))
    one.step()
    name = snapshot_at(shard_store(store, BUILD, 0, tmp_path), 1, 1)
    store.objects[f"{snapshot.prefix_of(BUILD.id, 0)}{name}/manifest.json"] = b"damaged"
    rows = one.backlog.rows
    assert (one.backlog.pause_seconds(), one.backlog.rows) == (0, rows)

    def unwell(prefix: str) -> None:
        raise Unanswered("503")

    monkeypatch.setattr(store, "keys", unwell)
    assert (one.backlog.pause_seconds(), one.backlog.rows) == (0, rows)
