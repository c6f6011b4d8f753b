"""Collections at any position, and the same rows of each on every path to it."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.index import structures
from service.index.ivf_pq import InvertedLists
from service.index.shard import ShardIndex
from service.indexer.records import records_of
from service.node import builder as build_module
from service.node.builder import digest
from service.node.recovery import open_snapshot
from service.node.replica import Replica
from service.router import write_queue as commits_module
from service.router.collections import Collections, RegistryChange
from service.router.write_queue import CollectionsDropped, GroupCommits
from service.storage import log as log_module
from service.storage.builds import IndexParameters
from service.storage.collections import (
    DEFAULT,
    MOST_COLLECTIONS,
    BadChange,
    Collection,
    Kind,
    NoCollection,
    Registry,
    RegistryUpdate,
    registry_at,
    registry_of,
    to_text,
)
from service.storage.documents import ANY_POSITION, Document, Place, PlacedDocument, documents_log, from_entry, to_rows
from service.storage.entry import Damaged
from service.storage.log import Append, Tail, tail_of
from service.storage.objects import StoredObject, Unanswered
from service.storage.snapshot import ROWS_FILE, manifest_of
from service.storage.voids import Voids
from service.wire.problems import Problem
from tests.service.memory_store import Fault, MemoryStore
from tests.service.shard_history import any_void, index_all, shard_store, snapshot_at, void, voided, write
from tests.service.small_space import DIMS, WordEmbedder, build, document, recipe

TEXTS = Kind()
PICTURES = Kind("vector", 3, "eyes/1", IndexParameters("hnsw", "l2", 8, 100, 50))
SOUNDS = Kind("vector", DIMS, "ears/1", IndexParameters("flat", "ip", 8, 100, 50))
KINDS = (TEXTS, PICTURES, SOUNDS)
NAMES = ("one", "two", "three")
BUILD = build(shards=2)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(log_module, "LONGEST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(commits_module, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(build_module, "give_way", lambda: None)


# The collections that exist.


@given(changes=st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES), st.sampled_from(KINDS)), max_size=20))
def test_a_registry_lists_what_was_made_and_not_dropped(changes: list[tuple[bool, str, Kind]]) -> None:
    registry, model, ended = Registry(), dict[str, Collection](), dict[str, int]()
    for position, (makes, name, kind) in enumerate(changes, start=1):
        held = model.get(name)
        if makes and held is not None and held.kind != kind:
            with pytest.raises(BadChange, match="with another kind"):
                registry.with_one(name, kind, position)
        elif makes:
            change = registry.with_one(name, kind, position)
            assert (change.registry == registry) is (held is not None)
            registry = change.registry
            model[name] = held or Collection(position, name, kind)
            assert change.collection == model[name]
        elif held is None:
            with pytest.raises(NoCollection) as unknown:
                registry.without(name, position)
            assert unknown.value.dropped_at == ended.get(name, 0)
        else:
            registry, ended[name] = registry.without(name, position).registry, position
            del model[name]
            with pytest.raises(NoCollection) as gone:
                registry.find(f"{name}@{held.id}")
            assert gone.value.dropped_at == position
        assert {one.name: one for one in registry.collections} == model
        for one in [*model.values(), DEFAULT]:
            assert registry.get(one.id) == registry.find(one.name) == one
            assert one is DEFAULT or registry.find(f"{one.name}@{one.id}") == one


def test_the_number_of_collections_is_limited() -> None:
    registry = Registry()
    for number in range(MOST_COLLECTIONS):
        registry = registry.with_one(f"c{number}", TEXTS, number + 1).registry
    with pytest.raises(BadChange, match=f"{MOST_COLLECTIONS} collections exist, which is the most allowed"):
        registry.with_one("more", TEXTS, 999)
    assert registry.with_one("c7", TEXTS, 999).collection.id == 8
    assert registry.find("default@0") is registry.find("default") is DEFAULT
    assert registry.without("c7", 999).registry.with_one("more", TEXTS, 1_000).collection.id == 1_000


def test_the_default_collection_stays() -> None:
    with pytest.raises(BadChange, match="can't be dropped"):
        Registry().without("default", 1)


# The log tells, from any entry.


class Logged(NamedTuple):
    """A documents log in which collections come and go between documents."""

    store: MemoryStore
    batches: list[list[Document]]


def _vector(rng: random.Random, dims: int) -> bytes:
    return np.asarray([rng.gauss(0, 1) for _ in range(dims)], "<f4").tobytes()


def _document(rng: random.Random, name: str, among: list[Collection]) -> Document:
    collection = rng.choice([DEFAULT, *among])
    source_id = f"s{rng.randrange(4)}"
    condition = rng.randrange(12) if rng.random() < 0.3 else ANY_POSITION
    if rng.random() < 0.2:
        return msgspec.structs.replace(document(name, source_id), collection=collection.id, if_position=condition)
    text = " ".join(rng.choices(("stop", "start", "a", "bucket", "the", "table"), k=rng.randint(1, 9)))
    vector = _vector(rng, collection.kind.dims) if collection.kind.source == "vector" else b""
    return msgspec.structs.replace(
        document(name, source_id, text), collection=collection.id, vector=vector, if_position=condition
    )


def _changed(rng: random.Random, registry: Registry, position: int) -> RegistryUpdate:
    try:
        if rng.random() < 0.6:
            return registry.with_one(rng.choice(NAMES), rng.choice(KINDS), position)
        return registry.without(rng.choice(NAMES), position)
    except (BadChange, NoCollection):
        return RegistryUpdate(registry, DEFAULT)


def logged(seed: int, *, entries: int) -> Logged:
    """Make a log in which a third of the entries change the collections, and a fifth of the others are voids."""
    rng, store, registry, known = random.Random(seed), MemoryStore(), Registry(), Voids()
    batches = list[list[Document]]()
    for number in range(1, entries + 1):
        change = _changed(rng, registry, number) if rng.random() < 0.4 else None
        if change is not None and change.registry != registry:
            registry = change.registry
            batch = [Document(f"r{number}", "", registry=to_text(registry))]
        else:
            batch = [_document(rng, f"r{number}.{i}", registry.collections) for i in range(3)]
        if number > 1 and not batch[0].registry and rng.random() < 0.2:
            known = known.with_one(any_void(rng, known, number, [0, *(one.id for one in registry.collections)]))
            batch = [void(known)]
        batches.append(batch)
    write(store, batches)
    return Logged(store, batches)


def held_at(batches: list[list[Document]], until: int) -> dict[int, dict[str, tuple[int, str, bytes]]]:
    """Compute plainly, by collection and source_id after an entry, the documents' position, text and vector."""
    held: dict[int, dict[str, tuple[int, str, bytes]]] = {0: {}}
    gone = voided(batches, until)
    for position, batch in enumerate(batches[:until], start=1):
        for item, one in enumerate(batch):
            if one.void or Place(position, item) in gone:
                continue
            if one.registry:
                there = {c.id for c in msgspec.json.decode(one.registry, type=Registry).collections} | {0}
                held = {id_: held.get(id_, {}) for id_ in there}
            elif one.if_position not in (ANY_POSITION, held[one.collection].get(one.source_id, (0,))[0]):
                pass
            elif one.delete:
                held[one.collection].pop(one.source_id, None)
            else:
                held[one.collection][one.source_id] = (position, one.text, one.vector)
    return held


@given(seed=st.integers(0, 10_000), entries=st.integers(1, 25))
@settings(max_examples=30)
def test_any_entry_leads_to_the_collections_that_exist(seed: int, entries: int) -> None:
    store, _ = logged(seed, entries=entries)
    log, registry = documents_log(store), Registry()
    for entry in log.follow(Tail()):
        registry = registry_of(entry) or registry
        assert registry_at(log, entry.header.collections) == registry
        # Older versions can read it as long as no collection was made.
        assert entry.header.format == (5 if entry.header.voids else 4 if entry.header.collections else 3)


def test_an_entry_without_a_registry_is_damage() -> None:
    store = MemoryStore()
    write(store, [[document("r", "s", "words")]])
    with pytest.raises(Damaged, match="documents entry 1: sets no collections"):
        registry_at(documents_log(store), 1)


# Every path gives each collection its own rows.


def contents(replica: Replica) -> dict[int, dict[str, tuple[int, str]]]:
    """Return positions and texts by collection and source_id, as searches see them."""
    found: dict[int, dict[str, tuple[int, str]]] = {}
    for index in replica.index.collections:
        hits = index.search(np.ones(index.dims, np.float32), 1_000, exact=True)
        found[index.collection] = {}
        for hit in hits:
            held = index.held(hit.source_id)
            assert held is not None
            found[index.collection][hit.source_id] = (held.position, hit.text)
    return found


@given(seed=st.integers(0, 10_000), entries=st.integers(1, 20), snapshots=st.sets(st.integers(1, 20), max_size=2))
@settings(max_examples=25, deadline=None)
def test_every_path_gives_each_collection_its_own_documents(
    tmp_path_factory: pytest.TempPathFactory, seed: int, entries: int, snapshots: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("disk")
    store, batches = logged(seed, entries=entries)
    own = build(shards=1 + seed % 3)
    index_all(store, own)
    held = held_at(batches, entries)
    seen: dict[int, dict[str, tuple[int, str]]] = {collection: {} for collection in held}
    for shard in range(own.recipe.shards):
        log_only = Replica(shard_store(store, own, shard, folder / f"log-{shard}"))
        log_only.boot()
        end = log_only.tail.number
        for generation, entry in enumerate(sorted(snapshots), start=1):
            if entry <= end:
                name = snapshot_at(shard_store(store, own, shard, folder / f"b-{shard}-{entry}"), entry, generation)
                manifest = manifest_of(store, own, shard, name)
                assert sum(share.rows for share in manifest.shares.values()) == manifest.rows
        restored = Replica(shard_store(store, own, shard, folder / f"disk-{shard}"))
        restored.boot()
        assert bool(restored.generation) is any(entry <= end for entry in snapshots)
        assert contents(restored) == contents(log_only)
        assert restored.index.digest == log_only.index.digest == digest(restored.shard, end)
        for collection, documents in contents(restored).items():
            seen[collection] |= documents
    # One chunk holds the whole text only if nothing was split.
    whole = {c: {s: position for s, (position, *_) in documents.items()} for c, documents in held.items()}
    assert {c: {s: position for s, (position, _) in documents.items()} for c, documents in seen.items()} == whole


def test_a_snapshot_has_files_of_its_collections_only(tmp_path: Path) -> None:
    store = MemoryStore()
    registry = Registry().with_one("pictures", PICTURES, 1).registry
    log = documents_log(store)
    tail = tail_of(
        Append(log, Tail(), to_rows([Document("c", "", registry=to_text(registry))]), "c", changes="collections").run()
    )
    rng = random.Random(1)
    pictures = [Document(f"r{n}", f"p{n}", collection=1, vector=_vector(rng, 3)) for n in range(60)]
    Append(log, tail, to_rows(pictures), "p").run()
    one = build(shards=1)
    index_all(store, one)
    name = snapshot_at(shard_store(store, one, 0, tmp_path / "builder"), 1, 1)
    manifest = manifest_of(store, one, 0, name)
    assert [file.name for file in manifest.files] == [ROWS_FILE, "graph.hnsw", "1-rows.arrow", "1-graph.hnsw"]
    assert [(c, share.rows, share.documents) for c, share in manifest.shares.items()] == [(0, 0, 0), (1, 60, 60)]
    key = next(key for key in store.objects if key.endswith("1-graph.hnsw"))
    store.objects[key] = store.objects[key][:-5]
    with pytest.raises(Damaged, match=r"1-graph\.hnsw"):
        open_snapshot(shard_store(store, one, 0, tmp_path / "spoiled"), name)


def test_a_collection_with_low_recall_keeps_no_base_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structures, "TRAINED_ROWS", 1_000)
    monkeypatch.setattr(InvertedLists, "look_further", lambda self, parameters: None)
    poor = IndexParameters("pq", "cosine", 8, 100, 50, code_dims=64, rescored=0)
    registry = Registry().with_one("poor", Kind("vector", 64, "a/1", poor), 1).registry
    store, rng = MemoryStore(), random.Random(1)
    log, one = documents_log(store), build(shards=1)
    change = to_rows([Document("c", "", registry=to_text(registry))])
    tail = tail_of(Append(log, Tail(), change, "c", changes="collections").run())
    documents = [Document(f"r{n}", f"p{n}", collection=1, vector=_vector(rng, 64)) for n in range(1_500)]
    Append(log, tail, to_rows([*documents, document("r", "s", "words")]), "p").run()
    index_all(store, one)
    name = snapshot_at(shard_store(store, one, 0, tmp_path / "builder"), 1, 1)
    manifest = manifest_of(store, one, 0, name)
    assert [file.name for file in manifest.files] == [ROWS_FILE, "graph.hnsw", "1-rows.arrow"]
    assert {number: (share.rows, share.searched) for number, share in manifest.shares.items()} == {
        0: (1, None),
        1: (1_500, msgspec.structs.replace(poor, type="flat")),
    }
    opened = open_snapshot(shard_store(store, one, 0, tmp_path / "disk"), name)
    assert opened.index.digest == manifest.digest


def test_rows_of_a_dropped_collection_make_a_new_base_due(tmp_path: Path) -> None:
    replica = Replica(shard_store(MemoryStore(), build(shards=1), 0, tmp_path))
    registry = Registry().with_one("pictures", PICTURES, 1).registry
    documents = [PlacedDocument(1, 0, Document("c", "", registry=to_text(registry)))]
    documents += [
        PlacedDocument(2, n, Document(f"r{n}", f"p{n}", collection=1, vector=b"\0\0\x80?" * 3)) for n in range(7)
    ]
    documents += [PlacedDocument(3, 0, Document("d", "", registry=to_text(registry.without("pictures", 3).registry)))]
    documents += [PlacedDocument(4, 0, Document("l", "late", collection=1, vector=b"\0\0\x80?" * 3))]
    folded = records_of(documents, Registry(), recipe(shards=1), WordEmbedder())
    assert [one.rejected for one in folded.records[-1:]] == ["its collection was dropped before"]
    for record in folded.records[:8]:
        replica.index.apply(record)
    assert (replica.index.rows, replica.index.documents) == (7, 7)
    for record in folded.records[8:]:
        replica.index.apply(record)
    assert (replica.index.rows, replica.index.changed_rows, replica.index.of(1)) == (0, 7, None)


def test_request_ids_are_separate_for_each_collection(tmp_path: Path) -> None:
    one = Registry().with_one("notes", TEXTS, 1)
    two = one.registry.with_one("papers", TEXTS, 2)
    none = two.registry.without("notes", 4)
    again = none.registry.with_one("notes", TEXTS, 5)
    store, tail = MemoryStore(), Tail()
    log = documents_log(store)
    ids = (one.collection, two.collection, DEFAULT, again.collection)
    words = [msgspec.structs.replace(document("import-7", "s", "words"), collection=of.id) for of in ids]
    changes = {1: one, 2: two, 4: none, 5: again}
    written = {3: words[:3], 6: words[3:] * 2}
    for number in range(1, 7):
        change = changes.get(number)
        batch = written[number] if change is None else [Document(f"c{number}", "", registry=to_text(change.registry))]
        tail = tail_of(Append(log, tail, to_rows(batch), f"a{number}", changes="collections" if change else None).run())
    index_all(store, build(shards=1))
    replica = Replica(shard_store(store, build(shards=1), 0, tmp_path))
    replica.boot()
    assert {one.collection: one.documents for one in replica.index.collections} == {0: 1, 2: 1, 5: 1}


def test_a_booting_replica_can_be_described() -> None:
    index, registry = ShardIndex(recipe()), Registry()
    for number in range(MOST_COLLECTIONS):
        registry = registry.with_one(f"c{number}", PICTURES, number + 1).registry
    changes = [PlacedDocument(1, 0, Document("c", "", registry=to_text(one))) for one in (registry, Registry())]
    records = records_of(changes, Registry(), recipe(), WordEmbedder()).records
    interval, end = sys.getswitchinterval(), threading.Event()

    def boot() -> None:
        while not end.is_set():
            for record in records:
                index.apply(record)

    booting = threading.Thread(target=boot)
    try:
        sys.setswitchinterval(1e-5)
        booting.start()
        for _ in range(1_000):
            assert (index.rows, index.documents) == (0, 0)
            assert next(one.documents for one in index.collections) == 0
    finally:
        end.set()
        booting.join()
        sys.setswitchinterval(interval)


# Several routers at once.


def _routers(test: Callable[[list[GroupCommits]], Awaitable[None]], store: MemoryStore, count: int = 2) -> None:
    async def run() -> None:
        routers = [GroupCommits(store) for _ in range(count)]
        tasks = [asyncio.create_task(one.run()) for one in routers]
        try:
            while not all(one.ready for one in routers):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await asyncio.wait_for(test(routers), 60)
        finally:
            for task in tasks:
                task.cancel()

    asyncio.run(run())


async def _made(router: GroupCommits, name: str, kind: Kind = TEXTS) -> Collection:
    changing = RegistryChange(router.collections, lambda registry, position: registry.with_one(name, kind, position))
    await router.change(changing)
    assert changing.made is not None
    return changing.made.collection


async def _dropped(router: GroupCommits, name: str) -> int:
    changing = RegistryChange(router.collections, lambda registry, position: registry.without(name, position))
    await router.change(changing)
    assert changing.made is not None
    return changing.made.registry.dropped[-1].position


def _for(collection: Collection, request_id: str) -> Document:
    return msgspec.structs.replace(document(request_id, "s", "words"), collection=collection.id)


def test_three_routers_make_find_and_drop_a_collection() -> None:
    store = MemoryStore()

    async def test(routers: list[GroupCommits]) -> None:
        one, two, three = routers
        with pytest.raises(Problem, match="there is no collection 'notes'") as unknown:
            await two.collections.find("notes")
        assert unknown.value.status == 404
        made = await _made(one, "notes")
        assert await two.collections.find("notes") == made
        # The very same, by a router that has not read it yet: no new entry.
        assert await _made(three, "notes") == made
        with pytest.raises(BadChange, match="with another kind"):
            await _made(three, "notes", PICTURES)
        assert await _dropped(three, "notes") == 2
        with pytest.raises(CollectionsDropped):
            await one.write([_for(made, "late")])
        with pytest.raises(Problem, match="was dropped at position 2") as gone:
            await one.collections.find("notes")
        assert gone.value.status == 410
        again = await _made(two, "notes", PICTURES)
        assert again.id == 3
        assert await one.collections.find("notes") == again
        with pytest.raises(Problem, match="was dropped at position 2"):
            await two.collections.find(f"notes@{made.id}")

    _routers(test, store, 3)
    assert documents_log(store).head() == 3


def test_callers_share_looks_while_the_log_can_not_be_read() -> None:
    looks: list[str] = []

    class Unwell(MemoryStore):
        def keys(self, prefix: str, after: str = "") -> Iterator[str]:
            looks.append(after)
            raise Unanswered(f"list {prefix}")

    async def run() -> None:
        collections = Collections(documents_log(Unwell()))
        asked = await asyncio.gather(*(collections.find("typo") for _ in range(50)), return_exceptions=True)
        assert {(one.status, one.extra["outcome"]) for one in asked if isinstance(one, Problem)} == {
            (503, "not_written")
        }
        assert len(asked) == 50

    asyncio.run(run())
    assert len(looks) <= 2


def test_a_log_that_does_not_grow_is_not_read_again() -> None:
    read: list[str] = []

    class Counted(MemoryStore):
        def get(self, key: str) -> StoredObject:
            read.append(key)
            return super().get(key)

    store = Counted()
    write(store, [[document("r", "s", "words")]])

    async def run() -> None:
        collections = Collections(documents_log(store))
        for _ in range(9):
            with pytest.raises(Problem, match="there is no collection 'typo'"):
                await collections.find("typo")

    read.clear()
    asyncio.run(run())
    assert len(read) == 1


def test_with_too_many_waiting_changes_another_is_told_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "QUEUE_BYTES", 2 * commits_module.CHANGE_BYTES)

    async def test(routers: list[GroupCommits]) -> None:
        changes = [_made(routers[0], f"c{number}") for number in range(3)]
        ended = await asyncio.gather(*changes, return_exceptions=True)
        assert [one.status for one in ended if isinstance(one, Problem)] == [429]
        assert (await _made(routers[0], "later")).id == 3

    _routers(test, MemoryStore(), 1)


def test_a_write_to_a_dropped_collection_delays_no_other() -> None:
    store = MemoryStore()

    async def test(routers: list[GroupCommits]) -> None:
        one, two = routers
        notes, kept = await _made(one, "notes"), await _made(one, "kept")
        await two.collections.refresh()
        await _dropped(one, "notes")
        written = await asyncio.gather(
            two.write([_for(notes, "a")]),
            two.write([_for(kept, "b")]),
            two.write([_for(DEFAULT, "c")]),
            return_exceptions=True,
        )
        assert isinstance(written[0], CollectionsDropped)
        assert list(written[1:]) == [[Place(4, 0)], [Place(4, 1)]]

    _routers(test, store)
    last = documents_log(store).read(4)
    assert [one.document.request_id for one in from_entry(last)] == ["b", "c"]


def test_a_change_that_fails_to_write_changes_nothing() -> None:
    store = MemoryStore()

    async def test(routers: list[GroupCommits]) -> None:
        store.fault_of = lambda number, key: "unavailable" if key.startswith("log/") else ""
        with pytest.raises(Problem) as unknown:
            await _made(routers[0], "notes")
        assert (unknown.value.status, unknown.value.extra["outcome"]) == (503, "unknown")
        store.fault_of = lambda number, key: ""
        with pytest.raises(Problem, match="there is no collection"):
            await routers[0].collections.find("notes")
        # A lost answer: the second try finds the change done.
        faults: list[Fault] = ["lost_reply"]
        store.fault_of = lambda number, key: faults.pop() if faults and key.startswith("log/") else ""
        assert (await _made(routers[0], "notes")).id == 1

    original = log_module.Append.run
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log_module.Append, "run", lambda self, deadline_seconds=0.3: original(self, deadline_seconds))
        _routers(test, store)


@pytest.mark.parametrize("seed", range(6))
def test_no_write_to_a_dropped_collection_is_acknowledged(seed: int) -> None:
    """Routers write to a name while it is dropped and made again, on a store that loses replies and conflicts."""
    store, rng = MemoryStore(), random.Random(seed)
    acknowledged: list[tuple[str, int, int, int]] = []

    async def writing(router: GroupCommits, name: str, end: asyncio.Event) -> None:
        for number in range(2_000):
            if end.is_set():
                return
            try:
                collection = await router.collections.find("notes")
                (place,) = await router.write([_for(collection, f"{name}.{number}")])
            except (CollectionsDropped, Problem):
                await asyncio.sleep(0.001)
                continue
            acknowledged.append((f"{name}.{number}", *place, collection.id))

    async def changing(router: GroupCommits, end: asyncio.Event) -> None:
        for _ in range(12):
            await _made(router, "notes")
            before = len(acknowledged)
            for _ in range(5_000):  # on a busy machine a write may take long
                await asyncio.sleep(0.001)
                if len(acknowledged) > before:
                    break
            await asyncio.sleep(rng.uniform(0, 0.02))
            await _dropped(router, "notes")
        end.set()

    async def test(routers: list[GroupCommits]) -> None:
        kinds: list[Fault] = ["lost_reply", "conflict", "", "", "", ""]
        store.fault_of = lambda number, key: rng.choice(kinds) if key.startswith("log/") else ""
        end = asyncio.Event()
        await asyncio.gather(writing(routers[0], "a", end), writing(routers[1], "b", end), changing(routers[2], end))

    _routers(test, store, 3)
    assert len(acknowledged) > 10
    log, there = documents_log(store), Registry()
    stored: dict[tuple[int, int], Document] = {}
    for entry in log.follow(Tail()):
        there = registry_of(entry) or there
        for written in from_entry(entry):
            stored[written.position, written.item] = written.document
            assert written.document.registry or there.get(written.document.collection) is not None
    for request_id, position, item, collection in acknowledged:
        held = stored[position, item]
        assert (held.request_id, held.collection) == (request_id, collection)
    assert len({id_ for *_, id_ in acknowledged}) > 1
