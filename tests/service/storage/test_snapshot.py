"""A snapshot is as it was written, of this build and shard and known to its log, or it is refused by name."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import msgspec
import pytest

from service.storage import snapshot
from service.storage.entry import Damaged
from service.storage.log import Tail
from service.storage.shards import shard_log
from service.storage.snapshot import Manifest
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import DIMS, build

BUILD = build(shards=1)
PREFIX = snapshot.prefix_of(BUILD.id, 0)


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    """A shard of six entries with one snapshot, after the fourth."""
    store = MemoryStore()
    for batch in histories(1, batches=6):
        write(store, [batch])
        index_all(store, BUILD)
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 4, 1)
    return store


def _name(store: MemoryStore) -> str:
    (name,) = snapshot.names(store, BUILD.id, 0)
    return name


def _read(store: MemoryStore) -> Manifest:
    return snapshot.manifest_of(store, BUILD, 0, _name(store))


def test_a_manifest_names_its_place_in_the_log(store: MemoryStore) -> None:
    manifest = _read(store)
    entry = shard_log(store, BUILD.id, 0, DIMS).read(4)
    assert (manifest.entry, manifest.append_id, manifest.position) == (4, entry.header.append_id, entry.header.end - 1)
    assert (manifest.build, manifest.shard, manifest.generation) == (BUILD, 0, 1)
    snapshot.check_against_log(manifest, shard_log(store, BUILD.id, 0, DIMS))


def test_the_manifest_is_uploaded_last(store: MemoryStore) -> None:
    assert list(store.objects)[-1] == f"{PREFIX}{_name(store)}/manifest.json"


def test_files_without_a_manifest_are_not_a_snapshot(store: MemoryStore) -> None:
    store.objects = {key: body for key, body in store.objects.items() if not key.endswith("manifest.json")}
    assert snapshot.names(store, BUILD.id, 0) == []


def test_every_flipped_byte_of_a_manifest_is_refused_by_name(store: MemoryStore) -> None:
    name = _name(store)
    key = f"{PREFIX}{name}/manifest.json"
    body = store.objects[key]
    for place in range(len(body)):
        store.objects[key] = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(Damaged, match=f"snapshot {name} of b-test shard 0"):
            snapshot.manifest_of(store, BUILD, 0, name)
    for length in range(len(body)):
        store.objects[key] = body[:length]
        with pytest.raises(Damaged, match=f"snapshot {name} of b-test shard 0"):
            snapshot.manifest_of(store, BUILD, 0, name)


def _seal_anew(store: MemoryStore, **changes: object) -> None:
    """Replace a manifest by one with other claims, under a right sha256."""
    manifest = msgspec.structs.replace(_read(store), **changes)
    folder = Path(store.objects["folder"].decode())
    prefix = f"{PREFIX}{_name(store)}/"
    snapshot.publish(MemoryStoreAt(store, prefix), manifest, folder)


class MemoryStoreAt(MemoryStore):
    """A store that takes only manifests, and puts them below another prefix than their own name's."""

    def __init__(self, store: MemoryStore, prefix: str) -> None:
        super().__init__()
        self._target, self._at = store, prefix

    def upload(self, path: Path, key: str) -> None:
        if key.endswith("manifest.json"):
            self._target.objects[self._at + "manifest.json"] = path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 99}, "format is False, expected True"),
        ({"build": build(shards=1, name="b-other")}, "build is"),
        ({"build": build(shards=2)}, "build is"),
        ({"shard": 1}, "shard is 1, expected 0"),
        ({"position": 1}, "name is "),
        ({"digest": "0" * 32}, "name is "),
        ({"files": []}, "name is "),
    ],
)
def test_a_wrong_claim_of_a_manifest_is_named(
    store: MemoryStore, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    store.objects["folder"] = str(tmp_path).encode()
    _seal_anew(store, **changes)
    with pytest.raises(Damaged, match=re.escape(reason)):
        _read(store)


def test_a_snapshot_that_the_log_does_not_know_is_refused(store: MemoryStore) -> None:
    log = shard_log(store, BUILD.id, 0, DIMS)
    manifest = _read(store)
    other = msgspec.structs.replace(manifest, append_id="somebody else")
    with pytest.raises(Damaged, match=r"entry 4 of b-test/shard-00 is .*, not somebody else"):
        snapshot.check_against_log(other, log)
    with pytest.raises(Damaged, match="position 2, but its entry ends at 4"):
        snapshot.check_against_log(msgspec.structs.replace(manifest, position=2), log)
    with pytest.raises(Damaged, match="b-test/shard-00 has no entry 40: the log is behind it"):
        snapshot.check_against_log(msgspec.structs.replace(manifest, entry=40), log)


def test_downloaded_files_are_found_on_the_disk_next_time(store: MemoryStore, tmp_path: Path) -> None:
    manifest = _read(store)
    snapshot.download(store, manifest, tmp_path / "disk")
    store.objects = {}
    snapshot.download(store, manifest, tmp_path / "disk")
    assert [snapshot.file_of(tmp_path / "disk" / file.name) for file in manifest.files] == manifest.files


def test_many_files_are_downloaded_a_few_at_once(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").touch()
    files = [msgspec.structs.replace(snapshot.file_of(tmp_path / "empty"), name=f"{n}-rows.arrow") for n in range(200)]
    threads: list[int] = []

    def download(key: str, path: Path) -> None:
        threads.append(threading.active_count())
        time.sleep(0.002)
        path.touch()

    monkeypatch.setattr(store, "download", download)
    before = threading.active_count()
    snapshot.download(store, msgspec.structs.replace(_read(store), files=files), tmp_path / "disk")
    assert len(threads) == 200
    assert max(threads) - before <= snapshot.DOWNLOADS_AT_ONCE


@pytest.mark.parametrize("file", ["rows.arrow", "graph.hnsw"])
def test_a_file_that_differs_anywhere_is_refused_and_not_kept(store: MemoryStore, tmp_path: Path, file: str) -> None:
    manifest, key = _read(store), f"{PREFIX}{_name(store)}/{file}"
    body = store.objects[key]
    spoiled = [body[:place] + bytes([body[place] ^ 0x10]) + body[place + 1 :] for place in range(0, len(body), 97)]
    spoiled += [body[:-1], b"", body + b"\0", b"foreign"]
    for number, other in enumerate(spoiled):
        store.objects[key] = other
        with pytest.raises(Damaged, match=f"snapshot {_name(store)}: {file} has"):
            snapshot.download(store, manifest, tmp_path / str(number))
        assert not (tmp_path / str(number) / file).exists()


@pytest.mark.parametrize("file", ["rows.arrow", "graph.hnsw"])
def test_a_missing_file_is_refused_by_name(store: MemoryStore, tmp_path: Path, file: str) -> None:
    manifest = _read(store)
    del store.objects[f"{PREFIX}{_name(store)}/{file}"]
    with pytest.raises(Damaged, match=f"{file} is missing"):
        snapshot.download(store, manifest, tmp_path / "disk")


def test_a_damaged_file_on_the_disk_is_downloaded_again(store: MemoryStore, tmp_path: Path) -> None:
    manifest = _read(store)
    snapshot.download(store, manifest, tmp_path)
    (tmp_path / "graph.hnsw").write_bytes(b"spoiled")
    snapshot.download(store, manifest, tmp_path)
    assert [snapshot.file_of(tmp_path / file.name) for file in manifest.files] == manifest.files


def test_builders_with_different_graphs_overwrite_nothing(store: MemoryStore, tmp_path: Path) -> None:
    first = _read(store)
    folder = tmp_path / "second"
    snapshot.download(store, first, folder)
    # Another CPU's rounding, or another order of threads, makes another graph of the same rows.
    (folder / "graph.hnsw").write_bytes(b"another graph")
    files = [snapshot.file_of(folder / name) for name in ("rows.arrow", "graph.hnsw")]
    second = msgspec.structs.replace(first, files=files)
    snapshot.publish(store, second, folder)
    for manifest in (first, second):
        snapshot.download(store, manifest, tmp_path / snapshot.name_of(manifest))
    assert set(snapshot.names(store, BUILD.id, 0)) == {snapshot.name_of(first), snapshot.name_of(second)}


def test_names_come_newest_position_first(store: MemoryStore, tmp_path: Path) -> None:
    shard = shard_store(store, BUILD, 0, tmp_path / "again")
    snapshot_at(shard, 6, 2)
    snapshot_at(shard, 2, 3)
    positions = [int(name.split("-")[0]) for name in snapshot.names(store, BUILD.id, 0)]
    assert positions == [6, 4, 2]


def test_an_empty_tail_needs_no_entry() -> None:
    log = shard_log(MemoryStore(), BUILD.id, 0, DIMS)
    assert log.tail() == Tail()
