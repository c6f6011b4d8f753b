"""A router shows the content of S3: documents as they were sent, slots, snapshots and refused ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.router.api.requests import DocumentWrite
from service.router.s3_view import S3View
from service.storage import snapshot
from service.storage.builds import Slots
from service.storage.content import content_hash
from service.storage.documents import documents_log, to_rows
from service.storage.log import Append, Tail
from service.wire.problems import Problem
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import build, space

BUILD = build(shards=1)
TEXTS = st.text(min_size=1, max_size=20)


@given(
    writes=st.lists(st.tuples(TEXTS, st.dictionaries(TEXTS, st.integers(-9, 9), max_size=3)), min_size=1, max_size=4)
)
def test_a_document_is_what_was_sent(writes: list[tuple[str, dict[str, int]]]) -> None:
    store = MemoryStore()
    sent = [DocumentWrite(f"note/{i}", "Note", f"a {text}", metadata=dict(of)) for i, (text, of) in enumerate(writes)]
    documents = [one.document(space(dims=3)) for one in sent]
    position = Append(documents_log(store), Tail(), to_rows(documents), "a").run().header.number
    for item, one in enumerate(sent):
        found = asyncio.run(S3View(store, store).document(position, item))
        assert (found.source_id, found.title, found.text, found.metadata) == (
            one.source_id,
            one.title,
            one.text,
            one.metadata,
        )
        written = documents[item]
        assert found.content_hash == content_hash(written.title, written.text, written.metadata).hex()
        assert (found.position, found.item, found.vector) == (position, item, None)


def test_a_given_vector_comes_back() -> None:
    store = MemoryStore()
    document = DocumentWrite("v", vector=[0.5, -1.0, 0.25]).document(space(dims=3, given=True))
    Append(documents_log(store), Tail(), to_rows([document]), "a").run()
    assert asyncio.run(S3View(store, store).document(1, 0)).vector == [0.5, -1.0, 0.25]


def test_what_s3_does_not_give_is_a_problem() -> None:
    store = MemoryStore()
    with pytest.raises(Problem, match="S3 gives no valid answer") as caught:
        asyncio.run(S3View(store, store).document(7, 0))
    assert (caught.value.status, caught.value.extra) == (503, {"retry_after_seconds": 1})


def test_slots_are_both_with_what_they_point_at() -> None:
    store = MemoryStore()
    made = Slots(store).claim("green", BUILD.recipe)
    slots = asyncio.run(S3View(store, store).slots()).slots
    assert [(one.slot, one.build) for one in slots] == [("blue", None), ("green", made)]


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    """A shard of six entries with snapshots after the second, fourth and sixth."""
    store = MemoryStore()
    for batch in histories(1, batches=6):
        write(store, [batch])
        index_all(store, BUILD)
    for generation, entry in enumerate((2, 4, 6), start=1):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path / f"builder-{entry}"), entry, generation)
    return store


def test_snapshots_come_newest_first_and_no_more_than_asked_for(store: MemoryStore) -> None:
    (shard,) = asyncio.run(S3View(store, store).snapshots(BUILD, 2)).shards
    assert (shard.shard, shard.total, [one.generation for one in shard.newest]) == (0, 3, [3, 2])
    newest = shard.newest[0]
    manifest = snapshot.manifest_of(store, BUILD, 0, newest.name)
    assert (newest.position, newest.rows, newest.digest) == (manifest.position, manifest.rows, manifest.digest)
    assert newest.size_bytes == sum(
        len(body) for key, body in store.objects.items() if newest.name in key and not key.endswith("manifest.json")
    )


def test_an_unloadable_snapshot_is_listed_with_the_reason(store: MemoryStore) -> None:
    name = snapshot.names(store, BUILD.id, 0)[0]
    key = f"{snapshot.prefix_of(BUILD.id, 0)}{name}/manifest.json"
    store.objects[key] = store.objects[key][:-40]
    shown = asyncio.run(S3View(store, store).snapshots(BUILD, 5)).shards[0].newest
    assert [bool(one.refused) for one in shown] == [True, False, False]
    assert name in shown[0].refused


def test_answers_are_json(store: MemoryStore) -> None:
    answer = msgspec.json.decode(msgspec.json.encode(asyncio.run(S3View(store, store).snapshots(BUILD, 1))))
    assert answer["shards"][0]["newest"][0]["refused"] == ""
    assert np.isfinite(answer["shards"][0]["newest"][0]["created_ms"])
