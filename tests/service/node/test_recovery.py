"""I3: every path to a position gives the same state, and anything that differs is refused by name and skipped."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service.node import recovery as restore_module
from service.node.replica import Replica
from service.storage import snapshot
from service.storage.shards import shard_log
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import Batch, fold, histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import DIMS, build

BUILD = build(shards=1)
ENTRIES = 10


@pytest.fixture
def batches() -> list[Batch]:
    return histories(8, batches=ENTRIES)


@pytest.fixture
def store(batches: list[Batch], tmp_path: Path) -> MemoryStore:
    """A shard of ten entries, with snapshots after entries 3 and 7."""
    store = MemoryStore()
    for batch in batches:
        write(store, [batch])
        index_all(store, BUILD)
    for generation, entry in ((1, 3), (2, 7)):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), entry, generation)
    return store


def _booted(store: MemoryStore, folder: Path) -> Replica:
    replica = Replica(shard_store(store, BUILD, 0, folder))
    replica.boot()
    return replica


def _state(replica: Replica) -> tuple[str, int, int, int]:
    return replica.index.digest, replica.index.rows, replica.index.documents, replica.position


def _names(store: MemoryStore) -> list[str]:
    return snapshot.names(store, BUILD.id, 0)


def _drop(store: MemoryStore, name: str) -> None:
    store.objects = {key: body for key, body in store.objects.items() if f"/{name}/" not in key}


def _until(store: MemoryStore, position: int) -> MemoryStore:
    """Return the store as it was when the shard log ended at `position`."""
    log = shard_log(store, BUILD.id, 0, DIMS)
    cut = MemoryStore()
    cut.objects = {
        key: body
        for key, body in store.objects.items()
        if not (key.startswith("builds/b-test/shard-00/log/") and key > log.key(position))
    }
    return cut


@pytest.mark.parametrize("position", range(ENTRIES + 1))
def test_every_path_to_every_position_gives_the_fold(
    store: MemoryStore, batches: list[Batch], tmp_path: Path, position: int
) -> None:
    at = _until(store, position)
    states, sources = set(), []
    for path, dropped in enumerate(([], _names(store)[:1], _names(store))):
        one = MemoryStore()
        one.objects = dict(at.objects)
        for name in dropped:
            _drop(one, name)
        replica = _booted(one, tmp_path / f"{path}")
        states.add(_state(replica))
        sources.append(replica.restored_from)
    live = fold(batches, BUILD, 0, position)
    ((_, rows, documents, reached),) = states
    assert (rows, documents, reached) == (len(live), len({source for source, *_ in live}), position)
    assert sources[2] == "the log alone"
    assert sources[0].startswith("snapshot 00000000000000000007") == (position >= 7)


def test_indexing_into_another_build_gives_the_same_digest(store: MemoryStore, tmp_path: Path) -> None:
    other = build(shards=1, name="b-other")
    index_all(store, other)
    replica = Replica(shard_store(store, other, 0, tmp_path / "other"))
    replica.boot()
    assert _state(replica) == _state(_booted(store, tmp_path / "this"))


def _spoil(store: MemoryStore, key: str, how: str) -> None:
    body = store.objects[key]
    if how == "missing":
        del store.objects[key]
        return
    middle = len(body) // 2
    store.objects[key] = {
        "flipped": body[:middle] + bytes([body[middle] ^ 4]) + body[middle + 1 :],
        "truncated": body[:middle],
        "empty": b"",
        "foreign": b"an object of somebody else",
    }[how]


HOWS = ["flipped", "truncated", "empty", "foreign", "missing"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("file", ["manifest.json", "rows.arrow", "graph.hnsw"])
def test_a_damaged_snapshot_is_refused_and_an_older_one_taken(
    store: MemoryStore, tmp_path: Path, file: str, how: str
) -> None:
    right = _state(_booted(store, tmp_path / "right"))
    newest, older = _names(store)
    _spoil(store, f"{snapshot.prefix_of(BUILD.id, 0)}{newest}/{file}", how)
    replica = _booted(store, tmp_path / "disk")
    assert _state(replica) == right
    assert replica.restored_from == f"snapshot {older}"
    if (file, how) != ("manifest.json", "missing"):
        (reason,) = replica.refused
        assert newest in reason
    assert replica.ready
    assert replica.stale == ""


@pytest.mark.parametrize("changes", [{"digest": "0" * 32}, {"rows": 1}, {"documents": 1}])
def test_rows_that_differ_from_the_manifest_are_refused(
    store: MemoryStore, tmp_path: Path, changes: dict[str, object]
) -> None:
    newest, older = _names(store)
    folder = tmp_path / "folder"
    manifest = snapshot.manifest_of(store, BUILD, 0, newest)
    snapshot.download(store, manifest, folder)
    _drop(store, newest)
    # Every hash is right; only the contents of the files are wrong.
    name = snapshot.publish(store, msgspec.structs.replace(manifest, **changes), folder)
    replica = _booted(store, tmp_path / "disk")
    assert f"snapshot {name}: has rows, documents, digest" in replica.refused[0]
    assert replica.restored_from == f"snapshot {older}"


@pytest.mark.parametrize("format_", [2, 3, 4])
def test_a_digest_that_counts_chunks_is_not_compared(store: MemoryStore, tmp_path: Path, format_: int) -> None:
    right = _state(_booted(store, tmp_path / "right"))
    newest, _ = _names(store)
    folder = tmp_path / "folder"
    manifest = snapshot.manifest_of(store, BUILD, 0, newest)
    snapshot.download(store, manifest, folder)
    _drop(store, newest)
    shares = {0: msgspec.structs.replace(manifest.shares[0], digest="1" * 32)}
    old = msgspec.structs.replace(manifest, format=format_, digest="1" * 32, shares=shares)
    name = snapshot.publish(store, old, folder)
    replica = _booted(store, tmp_path / "disk")
    assert (replica.restored_from, replica.refused) == (f"snapshot {name}", [])
    assert _state(replica) == right


@pytest.mark.parametrize("wrong", [1, 2])
def test_a_wrong_graph_is_refused_and_an_older_path_taken(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    right = _state(_booted(store, tmp_path / "right"))
    names = _names(store)
    recalls = iter([0.5] * wrong + [1.0])
    monkeypatch.setattr(restore_module, "look_far_enough", lambda base, dims: next(recalls))
    replica = _booted(store, tmp_path / "disk")
    assert replica.refused == [f"snapshot {name}: the recall of its canaries is 0.50" for name in names[:wrong]]
    assert replica.restored_from == ("the log alone" if wrong == 2 else f"snapshot {names[1]}")
    assert (_state(replica), replica.ready) == (right, True)


def test_a_foreign_folder_is_refused_and_skipped(store: MemoryStore, tmp_path: Path) -> None:
    store.objects[f"{snapshot.prefix_of(BUILD.id, 0)}zebra/manifest.json"] = b"{}"
    replica = _booted(store, tmp_path / "disk")
    assert "snapshot zebra of b-test shard 0" in replica.refused[0]
    assert replica.restored_from.startswith("snapshot 00000000000000000007")


def test_with_every_snapshot_damaged_the_log_alone_is_replayed(store: MemoryStore, tmp_path: Path) -> None:
    right = _state(_booted(store, tmp_path / "right"))
    for name in _names(store):
        _spoil(store, f"{snapshot.prefix_of(BUILD.id, 0)}{name}/rows.arrow", "flipped")
    replica = _booted(store, tmp_path / "disk")
    assert _state(replica) == right
    assert (replica.restored_from, len(replica.refused)) == ("the log alone", 2)


@pytest.mark.parametrize("how", HOWS[:-1])
@pytest.mark.parametrize("snapshots", [True, False])
def test_a_replica_stops_before_a_damaged_entry(store: MemoryStore, tmp_path: Path, how: str, snapshots: bool) -> None:
    if not snapshots:
        for name in _names(store):
            _drop(store, name)
    before = _state(_booted(_until(store, 8), tmp_path / "before"))
    right = _state(_booted(store, tmp_path / "right"))
    key = shard_log(store, BUILD.id, 0, DIMS).key(9)
    body = store.objects[key]
    _spoil(store, key, how)
    replica = _booted(store, tmp_path / "disk")
    assert _state(replica) == before
    assert "b-test/shard-00 entry 9" in replica.stale
    assert (replica.restored, replica.ready) == (True, False)
    store.objects[key] = body
    assert _state(_booted(store, tmp_path / "disk")) == right


@pytest.mark.parametrize("snapshots", [True, False])
def test_a_hole_of_nine_behind_the_snapshot_is_not_ready(tmp_path: Path, snapshots: bool) -> None:
    """Eight entries are read ahead, so nothing behind the nine was ever read."""
    store, batches = MemoryStore(), histories(9, batches=20)
    for batch in batches:
        write(store, [batch])
        index_all(store, BUILD)
    if snapshots:
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 5, 1)
    for number in range(6, 15):
        store.delete(shard_log(store, BUILD.id, 0, DIMS).key(number))
    replica = _booted(store, tmp_path / "disk")
    assert (replica.position, replica.restored, replica.ready) == (5, True, False)
    assert replica.stale == "b-test/shard-00 entries 6 to 14 are missing, but entry 15 is there"
    assert replica.describe()["reason"] == replica.stale


@pytest.mark.parametrize("kept", [[], ["/snapshots/"], ["/log/"]])
def test_a_wiped_shard_is_not_ready_until_indexed_again(store: MemoryStore, tmp_path: Path, kept: list[str]) -> None:
    right = _state(_booted(store, tmp_path / "right"))
    store.objects = {
        key: body
        for key, body in store.objects.items()
        if not key.startswith("builds/") or any(part in key for part in kept)
    }
    replica = _booted(store, tmp_path / "disk")
    if kept == ["/log/"]:
        assert (_state(replica), replica.ready) == (right, True)
        return
    assert (replica.position, replica.ready) == (0, False)
    assert replica.reason == "applied up to documents position 0; ready from 10, the head seen at start"
    index_all(store, BUILD)
    again = _booted(store, tmp_path / "again")
    assert (_state(again), again.ready) == (right, True)


def test_a_snapshot_beyond_a_damaged_entry_serves_on(store: MemoryStore, tmp_path: Path) -> None:
    right = _state(_booted(store, tmp_path / "right"))
    _spoil(store, shard_log(store, BUILD.id, 0, DIMS).key(5), "flipped")
    replica = _booted(store, tmp_path / "disk")
    assert _state(replica) == right
    assert replica.stale == ""


def test_a_snapshot_whose_own_entry_is_damaged_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    _spoil(store, shard_log(store, BUILD.id, 0, DIMS).key(7), "flipped")
    replica = _booted(store, tmp_path / "disk")
    assert "entry 7" in replica.refused[0]
    assert replica.restored_from == f"snapshot {_names(store)[1]}"
    assert (replica.position, "entry 7" in replica.stale) == (6, True)


def test_a_snapshot_ahead_of_its_log_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    replica = _booted(_until(store, 5), tmp_path / "disk")
    assert "has no entry 7: the log is behind it" in replica.refused[0]
    assert replica.position == 5


def test_a_generation_without_any_row_is_built_and_restored(tmp_path: Path) -> None:
    store = MemoryStore()
    batches = histories(2, batches=4, sources=2)
    deletions = [[type(batches[0][0])(f"d{n}", f"s{n}", True)] for n in range(2)]
    write(store, [*batches, *deletions])
    index_all(store, BUILD)
    entry = shard_log(store, BUILD.id, 0, DIMS).head()
    name = snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), entry, 1)
    replica = _booted(store, tmp_path / "disk")
    assert replica.restored_from == f"snapshot {name}"
    assert (replica.index.rows, replica.index.documents, replica.ready) == (0, 0, True)
