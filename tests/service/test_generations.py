"""When a generation is due, who builds it, and which snapshots a serving replica takes."""

from __future__ import annotations

import asyncio
import errno
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.node import generations as generations_module
from service.node import restore as restore_module
from service.node.build import NotVerified
from service.node.generations import CLAIM_SECONDS, Claim, Generations, is_due
from service.node.replica import Replica
from service.node.restore import Opened
from service.storage import snapshot
from service.storage.objects import Unanswered
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import DIMS, build

BUILD = build(shards=1)
CLAIM_KEY = "builds/b-test/shard-00/claims/000001.json"


@pytest.mark.parametrize(
    ("changed_rows", "base_rows", "quiet_seconds", "due"),
    [
        (0, 0, 1e9, False),
        (499, 0, 1e9, False),
        (500, 0, 2.9, False),
        (500, 0, 3.0, True),
        (500, 1_000_000, 3.0, True),
        (9_999, 0, 0, False),
        (10_000, 0, 0, True),
        (10_000, 100_000, 0, False),
        (25_000, 100_000, 0, True),
    ],
)
def test_a_generation_is_due_when_the_delta_is_large_or_the_shard_quiet(
    changed_rows: int, base_rows: int, quiet_seconds: float, due: bool
) -> None:
    assert is_due(changed_rows=changed_rows, base_rows=base_rows, quiet_seconds=quiet_seconds) is due


@pytest.fixture
def store() -> MemoryStore:
    """A shard of eight entries."""
    store = MemoryStore()
    for batch in histories(8, batches=8):
        write(store, [batch])
        index_all(store, BUILD)
    return store


def _replica(store: MemoryStore, folder: Path) -> Replica:
    replica = Replica(shard_store(store, BUILD, 0, folder))
    replica.boot()
    return replica


def test_of_two_replicas_one_claims_a_generation(store: MemoryStore, tmp_path: Path) -> None:
    first, second = (Generations(_replica(store, tmp_path / name), name) for name in "ab")
    assert first._claimed()
    assert not second._claimed()
    assert msgspec.json.decode(store.objects[CLAIM_KEY], type=Claim).instance == "a"


@pytest.mark.parametrize(("age_seconds", "taken"), [(CLAIM_SECONDS - 1, False), (CLAIM_SECONDS + 1, True)])
def test_only_a_claim_that_has_outlived_its_builder_is_taken_over(
    store: MemoryStore, tmp_path: Path, age_seconds: float, taken: bool
) -> None:
    at_ms = store.clock.now_ms() - int(age_seconds * 1000)
    store.objects[CLAIM_KEY] = msgspec.json.encode(Claim("the dead", at_ms))
    assert Generations(_replica(store, tmp_path), "b")._claimed() is taken
    holder = msgspec.json.decode(store.objects[CLAIM_KEY], type=Claim).instance
    assert holder == ("b" if taken else "the dead")


def test_of_two_that_take_over_one_wins(store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.objects[CLAIM_KEY] = msgspec.json.encode(Claim("the dead", 0))
    one, other = (Generations(_replica(store, tmp_path / name), name) for name in "ab")
    replace = store.replace

    def other_first(key: str, body: bytes, etag: str) -> str:
        monkeypatch.setattr(store, "replace", replace)
        assert other._claimed()
        return replace(key, body, etag)

    monkeypatch.setattr(store, "replace", other_first)
    assert not one._claimed()


@pytest.mark.parametrize("body", [b"", b"{", b'{"instance": 3}', b"\xff"])
def test_a_damaged_claim_holds_nobody_up(store: MemoryStore, tmp_path: Path, body: bytes) -> None:
    store.objects[CLAIM_KEY] = body
    assert Generations(_replica(store, tmp_path), "b")._claimed()


def _adopt(generations: Generations) -> None:
    asyncio.run(generations._adopt_newest())


def test_the_newest_snapshot_is_adopted_with_the_state_kept(store: MemoryStore, tmp_path: Path) -> None:
    replica = _replica(store, tmp_path / "serving")
    digest = replica.index.digest
    for generation, entry in ((1, 3), (2, 6)):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), entry, generation)
    _adopt(Generations(replica, "a"))
    assert (replica.generation, replica.base_position, replica.index.digest) == (2, 6, digest)


def test_a_spoiled_snapshot_is_refused_once_and_older_and_newer_ones_still_taken(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica, builder = _replica(store, tmp_path / "serving"), shard_store(store, BUILD, 0, tmp_path / "builder")
    generations = Generations(replica, "a")
    spoiled = snapshot_at(builder, 6, 2)
    store.objects[f"{snapshot.prefix_of(BUILD.id, 0)}{spoiled}/graph.hnsw"] = b"spoiled"
    _adopt(generations)
    assert replica.generation == 0
    # A slower builder publishes an older position after it.
    snapshot_at(builder, 4, 1)
    _adopt(generations)
    assert (replica.generation, replica.base_position) == (1, 4)
    snapshot_at(builder, 8, 3)
    _adopt(generations)
    assert (replica.generation, replica.base_position) == (3, 8)


def _folders(replica: Replica) -> set[str]:
    return {path.name for path in replica.shard.folder.iterdir()}


def test_snapshots_on_disk_that_are_not_served_are_removed_after_boot_and_after_adopting(
    store: MemoryStore, tmp_path: Path
) -> None:
    shard, builder = (shard_store(store, BUILD, 0, tmp_path / name) for name in ("serving", "builder"))
    first = snapshot_at(builder, 3, 1)
    for name in ("building", "an older one"):
        (shard.folder / name).mkdir()
        (shard.folder / name / "rows.arrow").write_bytes(b"rows")
    replica = _replica(store, shard.folder)
    assert _folders(replica) == {"building", first}
    held, query = replica.index, np.ones(DIMS, np.float32)
    before = held.search(query, 3, exact=True)
    second = snapshot_at(builder, 6, 2)
    _adopt(Generations(replica, "a"))
    assert _folders(replica) == {"building", second}
    # A search that still runs on the old base has its rows mapped.
    assert held.search(query, 3, exact=True) == before


def test_a_replica_of_the_log_alone_keeps_no_snapshot(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "refused").mkdir()
    assert _folders(_replica(store, tmp_path)) == set()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), Unanswered("get: 503")])
def test_a_full_disk_or_an_unwell_store_is_passed_over_and_tried_again(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    replica = _replica(store, tmp_path / "serving")
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    monkeypatch.setattr(generations_module, "POLL_SECONDS", 0.001)
    download, failures = store.download, iter([error, error])

    def full(key: str, path: Path) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure
        download(key, path)

    monkeypatch.setattr(store, "download", full)

    async def run() -> None:
        adopted, adopt = asyncio.Event(), replica.adopt

        def adopt_and_tell(opened: Opened) -> None:
            adopt(opened)
            adopted.set()

        monkeypatch.setattr(replica, "adopt", adopt_and_tell)
        running = asyncio.create_task(Generations(replica, "a").run())
        waiting = asyncio.create_task(adopted.wait())
        await asyncio.wait((running, waiting), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert adopted.is_set()
        running.cancel()

    asyncio.run(run())
    assert (replica.generation, replica.ready) == (1, True)


def test_a_foreign_folder_among_the_snapshots_is_passed_over(store: MemoryStore, tmp_path: Path) -> None:
    replica = _replica(store, tmp_path / "serving")
    store.objects[f"{snapshot.prefix_of(BUILD.id, 0)}zebra/manifest.json"] = b"{}"
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    _adopt(Generations(replica, "a"))
    assert replica.generation == 1


def test_a_snapshot_ahead_of_the_replica_waits_until_it_is_reached(store: MemoryStore, tmp_path: Path) -> None:
    replica = Replica(shard_store(store, BUILD, 0, tmp_path / "serving"))
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    _adopt(Generations(replica, "a"))
    assert replica.generation == 0


def test_a_graph_that_answers_wrongly_is_not_adopted(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = _replica(store, tmp_path / "serving")
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    monkeypatch.setattr(restore_module, "canary_recall", lambda index: 0.5)
    _adopt(Generations(replica, "a"))
    assert replica.generation == 0


def test_a_built_graph_that_answers_wrongly_is_not_published(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_module, "canary_recall", lambda index: 0.5)
    with pytest.raises(NotVerified, match=r"its canaries find 0\.50 of what exact search finds"):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path), 6, 1)
    assert snapshot.names(store, BUILD.id, 0) == []


def test_a_builder_that_fails_changes_nothing(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = _replica(store, tmp_path / "serving")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    asyncio.run(Generations(replica, "a")._build())
    assert (replica.generation, replica.ready, list(snapshot.names(store, BUILD.id, 0))) == (0, True, [])


def test_two_builders_of_one_generation_do_no_harm(store: MemoryStore, tmp_path: Path) -> None:
    replica = _replica(store, tmp_path / "serving")
    for disk in ("one", "two"):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / disk), 6, 1)
    _adopt(Generations(replica, "a"))
    assert replica.generation == 1
    assert _replica(store, tmp_path / "fresh").index.digest == replica.index.digest
