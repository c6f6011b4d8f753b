"""The replica that builds a generation, and the snapshots that a serving replica takes."""

from __future__ import annotations

import asyncio
import errno
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.index.shard import CollectionSize
from service.node import builder as build_module
from service.node import generations as generations_module
from service.node import recovery as restore_module
from service.node.builder import VerificationFailed
from service.node.generations import CLAIM_SECONDS, SUCCESSORS, Claim, Generations
from service.node.live_records import LiveRecords
from service.node.memory import PROC, modelled_bytes
from service.node.recovery import open_snapshot
from service.node.replica import Replica
from service.settings import SNAPSHOT_SECONDS
from service.storage import snapshot
from service.storage.entry import Damaged
from service.storage.objects import StoredObject, Unanswered
from service.storage.shards import shard_of
from tests.service.memory_store import MemoryStore
from tests.service.recorded import ours, recorded, said
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import DIMS, build, document

BUILD = build(shards=1)
CLAIM_KEY = "builds/b-test/shard-00/claims/000001.json"


def test_a_generation_is_due_when_a_write_has_waited_long(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = store.clock.now_ms()
    replica = _replica(store, tmp_path / "a")
    generations = _generations(replica)
    assert not generations._is_due()
    monkeypatch.setattr(store.clock, "now_ms", lambda: now_ms + SNAPSHOT_SECONDS * 1000 - 60_000)
    assert not generations._is_due()
    monkeypatch.setattr(store.clock, "now_ms", lambda: now_ms + SNAPSHOT_SECONDS * 1000 + 60_000)
    assert generations._is_due()
    # Every write is in a snapshot: a quiet shard is left alone, however old the snapshot gets.
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), replica.tail.number, 1)
    assert not _generations(_replica(store, tmp_path / "b"))._is_due()


def test_a_shard_without_rows_gets_a_snapshot_too(tmp_path: Path) -> None:
    empty, two = MemoryStore(), build(shards=2)
    elsewhere = next(name for name in map(str, range(99)) if shard_of(name, 2) == 1)
    write(empty, [[document(f"r{number}", elsewhere, "stop")] for number in range(3)])
    index_all(empty, two)
    snapshot_at(shard_store(empty, two, 0, tmp_path / "builder"), 1, 1)
    restored = Replica(shard_store(empty, two, 0, tmp_path / "a"))
    restored.boot()
    assert (restored.generation, restored.index.rows) == (1, 0)


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


def _generations(
    replica: Replica, asked: list[str] | None = None, *, instance: str = "a", proc: Path = PROC
) -> Generations:
    """Collect in `asked` the snapshots that successors are started from. None of them serves; a damaged one is found
    out.
    """

    async def succeed(name: str) -> bool:
        assert asked is not None
        asked.append(name)
        try:
            open_snapshot(replica.shard, name)
        except Damaged:
            return True
        return False

    return Generations(replica, instance, succeed, proc)


def test_of_two_replicas_one_claims_a_generation(store: MemoryStore, tmp_path: Path) -> None:
    first, second = (_generations(_replica(store, tmp_path / name), instance=name) for name in "ab")
    assert first._claim()
    assert not second._claim()
    assert msgspec.json.decode(store.objects[CLAIM_KEY], type=Claim).instance == "a"


@pytest.mark.parametrize(("age_seconds", "taken"), [(CLAIM_SECONDS - 1, False), (CLAIM_SECONDS + 1, True)])
def test_only_an_expired_claim_is_taken_over(
    store: MemoryStore, tmp_path: Path, age_seconds: float, taken: bool
) -> None:
    at_ms = store.clock.now_ms() - int(age_seconds * 1000)
    store.objects[CLAIM_KEY] = msgspec.json.encode(Claim("the dead", at_ms))
    assert _generations(_replica(store, tmp_path), instance="b")._claim() is taken
    holder = msgspec.json.decode(store.objects[CLAIM_KEY], type=Claim).instance
    assert holder == ("b" if taken else "the dead")


def test_of_two_takers_of_a_claim_one_wins(store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.objects[CLAIM_KEY] = msgspec.json.encode(Claim("the dead", 0))
    one, other = (_generations(_replica(store, tmp_path / name), instance=name) for name in "ab")
    replace = store.replace

    def other_first(key: str, body: bytes, etag: str) -> str:
        monkeypatch.setattr(store, "replace", replace)
        assert other._claim()
        return replace(key, body, etag)

    monkeypatch.setattr(store, "replace", other_first)
    assert not one._claim()


@pytest.mark.parametrize("body", [b"", b"{", b'{"instance": 3}', b"\xff"])
def test_a_damaged_claim_blocks_no_builder(store: MemoryStore, tmp_path: Path, body: bytes) -> None:
    store.objects[CLAIM_KEY] = body
    assert _generations(_replica(store, tmp_path), instance="b")._claim()


def _asked(generations: Generations, asked: list[str]) -> list[str]:
    """Return the snapshots that successors were started from in one look."""
    asked.clear()
    asyncio.run(generations._give_way())
    return list(asked)


def test_a_successor_of_the_newest_snapshot_holds_the_same(store: MemoryStore, tmp_path: Path) -> None:
    replica, asked = _replica(store, tmp_path / "serving"), list[str]()
    names = [
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), entry, generation)
        for generation, entry in ((1, 3), (2, 6))
    ]
    assert _asked(_generations(replica, asked), asked) == [names[1]]
    successor = Replica(replica.shard)
    successor.succeed(names[1])
    assert (successor.generation, successor.base_position, successor.position) == (2, 6, 8)
    assert successor.index.digest == replica.index.digest
    assert _asked(_generations(successor, asked), asked) == []


def test_a_damaged_snapshot_is_refused_once_and_others_taken(store: MemoryStore, tmp_path: Path) -> None:
    replica, builder = _replica(store, tmp_path / "serving"), shard_store(store, BUILD, 0, tmp_path / "builder")
    asked: list[str] = []
    generations = _generations(replica, asked)
    spoiled = snapshot_at(builder, 6, 2)
    store.objects[f"{snapshot.prefix_of(BUILD.id, 0)}{spoiled}/graph.hnsw"] = b"spoiled"
    assert _asked(generations, asked) == [spoiled]
    assert _asked(generations, asked) == []
    # A slower builder publishes an older position after it.
    older = snapshot_at(builder, 4, 1)
    assert _asked(generations, asked) == [older]
    newer = snapshot_at(builder, 8, 3)
    assert _asked(generations, asked) == [newer]


def test_a_snapshot_is_refused_after_three_failed_successors(store: MemoryStore, tmp_path: Path) -> None:
    asked: list[str] = []
    generations = _generations(_replica(store, tmp_path / "serving"), asked)
    name = snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    assert [_asked(generations, asked) for _ in range(SUCCESSORS + 1)] == [[name]] * SUCCESSORS + [[]]


def test_without_memory_for_two_the_old_generation_serves_on(store: MemoryStore, tmp_path: Path) -> None:
    replica, asked = _replica(store, tmp_path / "serving"), list[str]()
    name = snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    proc = tmp_path / "proc"
    proc.mkdir()
    wanted_kb = modelled_bytes([CollectionSize(BUILD.recipe, 6)]) // 1024

    def free(available_kb: int) -> None:
        (proc / "meminfo").write_text(f"MemTotal: 1000000 kB\nMemAvailable: {available_kb} kB\n")

    generations = _generations(replica, asked, proc=proc)
    free(80_000 + wanted_kb // 2)
    assert _asked(generations, asked) == []
    assert f"needs {wanted_kb >> 10} MiB" in str(replica.describe()["held_back"])
    free(81_000 + wanted_kb)
    assert _asked(generations, asked) == [name]
    assert replica.describe()["held_back"] == ""


def test_while_a_generation_is_held_back_none_is_built(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica, asked = _replica(store, tmp_path / "serving"), list[str]()
    generations = _generations(replica, asked)
    looked, built = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def give_way() -> None:
        looked.release()

    async def build() -> None:
        built.release()

    monkeypatch.setattr(generations, "_give_way", give_way)
    monkeypatch.setattr(generations, "_is_due", lambda: True)
    monkeypatch.setattr(generations, "_claim", lambda: True)
    monkeypatch.setattr(generations, "_build", build)
    monkeypatch.setattr(generations_module, "POLL_SECONDS", 0.001)

    async def run() -> None:
        running = asyncio.create_task(generations.run())
        replica.held_back = "no room"
        for _ in range(3):
            await asyncio.wait_for(looked.acquire(), 10)
        assert built.locked()
        replica.held_back = ""
        await asyncio.wait_for(built.acquire(), 10)
        running.cancel()

    asyncio.run(run())


def _folders(replica: Replica) -> set[str]:
    return {path.name for path in replica.shard.folder.iterdir()}


def test_boot_and_successor_remove_snapshots_that_are_not_served(store: MemoryStore, tmp_path: Path) -> None:
    shard, builder = (shard_store(store, BUILD, 0, tmp_path / name) for name in ("serving", "builder"))
    first = snapshot_at(builder, 3, 1)
    for name in ("building", "an older one"):
        (shard.folder / name).mkdir()
        (shard.folder / name / "rows.arrow").write_bytes(b"rows")
    replica = _replica(store, shard.folder)
    assert _folders(replica) == {"building", first}
    held, query = replica.index.default, np.ones(DIMS, np.float32)
    before = held.search(query, 3, exact=True)
    second = snapshot_at(builder, 6, 2)
    Replica(shard).succeed(second)
    assert _folders(replica) == {"building", second}
    # A search on the old base still has its rows mapped.
    assert held.search(query, 3, exact=True) == before


def test_a_replica_of_the_log_alone_keeps_no_snapshot(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "refused").mkdir()
    assert _folders(_replica(store, tmp_path)) == set()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), Unanswered("get: 503")])
def test_a_full_disk_and_a_failing_store_are_tried_again(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    replica = _replica(store, tmp_path / "serving")
    name = snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    monkeypatch.setattr(generations_module, "POLL_SECONDS", 0.001)
    get, failures = store.get, iter([error, error])

    def unwell(key: str) -> StoredObject:
        if (failure := next(failures, None)) is not None:
            raise failure
        return get(key)

    monkeypatch.setattr(store, "get", unwell)

    async def run() -> None:
        asked: asyncio.Queue[str] = asyncio.Queue()

        async def succeed(name: str) -> bool:
            await asked.put(name)
            return False

        generations = Generations(replica, "a", succeed)
        running = asyncio.create_task(generations.run())
        waiting = asyncio.create_task(asked.get())
        await asyncio.wait((running, waiting), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert waiting.result() == name
        running.cancel()

    asyncio.run(run())
    assert replica.ready


def test_a_foreign_folder_among_snapshots_is_skipped(store: MemoryStore, tmp_path: Path) -> None:
    replica, asked = _replica(store, tmp_path / "serving"), list[str]()
    store.objects[f"{snapshot.prefix_of(BUILD.id, 0)}zebra/manifest.json"] = b"{}"
    name = snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    assert _asked(_generations(replica, asked), asked) == [name]


def test_a_snapshot_ahead_of_the_replica_waits_for_it(store: MemoryStore, tmp_path: Path) -> None:
    replica, asked = Replica(shard_store(store, BUILD, 0, tmp_path / "serving")), list[str]()
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    assert _asked(_generations(replica, asked), asked) == []


def test_a_successor_does_not_serve_a_wrong_graph(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 6, 1)
    monkeypatch.setattr(restore_module, "look_far_enough", lambda base, dims: 0.5)
    with pytest.raises(Damaged, match="recall of its canaries"):
        Replica(shard_store(store, BUILD, 0, tmp_path / "serving")).succeed(name)


def test_a_wrong_graph_is_not_published(store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_module, "look_far_enough", lambda base, dims: 0.5)
    with pytest.raises(VerificationFailed, match=r"the recall of its canaries is 0\.50"):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path), 6, 1)
    assert snapshot.names(store, BUILD.id, 0) == []


def test_rows_that_differ_from_the_digest_are_not_published(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes trust the digest of a manifest, so the builder proves it."""
    monkeypatch.setattr(build_module, "digest_of", lambda records: "0" * 32)
    monkeypatch.setattr(LiveRecords, "digest", "0" * 32)
    with pytest.raises(VerificationFailed, match="has rows, documents, digest"):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path), 6, 1)
    assert snapshot.names(store, BUILD.id, 0) == []


def test_a_builder_that_fails_changes_nothing(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = _replica(store, tmp_path / "serving")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    asyncio.run(_generations(replica)._build())
    assert (replica.generation, replica.ready, list(snapshot.names(store, BUILD.id, 0))) == (0, True, [])


def test_an_order_outlives_the_process_that_took_it(store: MemoryStore, tmp_path: Path) -> None:
    before = _generations(_replica(store, tmp_path / "before"))
    assert not before._is_due()
    position = before.ask()
    assert position > 0
    after = _generations(_replica(store, tmp_path / "after"))
    after.asked_position = position
    assert after._is_due()


def test_failing_builders_are_started_ever_less_often(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    generations = _generations(_replica(store, tmp_path / "serving"))
    generations.ask()
    pauses = []
    for _ in range(8):
        generations._after_build(1)
        before = now[0]
        while not generations._is_due():
            now[0] += 10
        pauses.append(now[0] - before)
    assert pauses == [0, 240, 480, 960, 1920, 3600, 3600, 3600]
    generations._after_build(0)
    generations._after_build(1)
    assert generations._is_due()


def test_two_builders_of_one_generation_do_no_harm(store: MemoryStore, tmp_path: Path) -> None:
    replica = _replica(store, tmp_path / "serving")
    for disk in ("one", "two"):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / disk), 6, 1)
    assert _replica(store, tmp_path / "fresh").index.digest == replica.index.digest


def test_restore_build_and_takeover_are_spans(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with recorded() as found:
        replica = _replica(store, tmp_path / "serving")
        asyncio.run(_generations(replica)._build())
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / "other"), 6, 1)
        asyncio.run(_generations(replica, [])._give_way())
        assert found.names == ["restore", "build", "take over"]
        restore, failed, take_over = map(ours, found.exporter.get_finished_spans())
    assert restore == {"generation": 0, "rows": replica.index.rows, "position": replica.position}
    assert failed == {"generation": 1, "rows": replica.index.rows, "exit_code": 1}
    assert take_over["position"] == 6


def test_the_span_of_a_successors_restore_says_how_it_went(store: MemoryStore, tmp_path: Path) -> None:
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "other"), 6, 1)
    manifest = next(key for key in store.objects if key.endswith("manifest.json"))
    name = snapshot.names(store, BUILD.id, 0)[0]
    with recorded() as found:
        Replica(shard_store(store, BUILD, 0, tmp_path / "good")).succeed(name)
        store.objects[manifest] = b"{"
        with pytest.raises(Damaged):
            Replica(shard_store(store, BUILD, 0, tmp_path / "bad")).succeed(name)
        good, bad = found.named("restore")
    assert (ours(good)["successor"], ours(good)["generation"]) == (True, 1)
    assert said(bad)["error.type"] == "Damaged"
