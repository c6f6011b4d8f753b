"""Erased entries: nothing of a document is left in them, and every later reader makes the same of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.storage.builds import Build
from service.storage.documents import Document, documents_log
from service.storage.entry import Entry, encode, in_oldest_format
from service.storage.erasing import erased_documents, erased_records, has_row
from service.storage.log import Log, Tail
from service.storage.shards import from_entry, shard_log
from service.storage.sources import Source
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import Batch, histories, index_all, summed, write
from tests.service.small_space import DIMS, recipe

ERASED = Source(0, "s3")


def _with_deletion(batches: list[Batch]) -> tuple[list[Batch], int]:
    """Put a deletion of the document into the second half of a history; return its position, too."""
    at = next(number for number in range(len(batches) // 2, len(batches)) if not batches[number][0].void)
    return [*batches[:at], [Document("the deletion", ERASED.source_id, delete=True)], *batches[at + 1 :]], at + 1


def _rewrite(store: MemoryStore, log: Log, until: int, *, documents: bool) -> None:
    for entry in [*log.follow(Tail())]:
        last = entry.header.number if documents else entry.header.end - 1
        erased = erased_documents if documents else erased_records
        if last <= until and (changed := erased(entry, {ERASED})) is not None:
            plain = in_oldest_format(changed)
            store.objects[log.key(entry.header.number)] = encode(plain.header, plain.rows)


def _shard_logs(store: MemoryStore, build: Build) -> list[Log]:
    return [shard_log(store, build.id, shard, DIMS) for shard in range(build.recipe.shards)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_a_build_goes_on_as_a_new_one_is_made(seed: int, shards: int) -> None:
    batches, position = _with_deletion(histories(seed, batches=30, voids=0.15))
    store, old, new = MemoryStore(), Build("old", recipe(shards=shards)), Build("new", recipe(shards=2))
    write(store, batches[:position])
    index_all(store, old)
    before = summed(store, old)
    _rewrite(store, documents_log(store), position, documents=True)
    for log in _shard_logs(store, old):
        _rewrite(store, log, position, documents=False)
    assert summed(store, old) == before
    write(store, batches[position:])
    index_all(store, old)
    index_all(store, new)
    assert summed(store, old) == summed(store, new)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_nothing_of_a_document_is_left_and_others_stay(seed: int) -> None:
    batches, _ = _with_deletion(histories(seed, batches=20))
    store, build = MemoryStore(), Build("build", recipe())
    write(store, batches)
    index_all(store, build)
    for entry in documents_log(store).follow(Tail()):
        rows = entry.rows.to_pylist()
        erased = erased_documents(entry, {ERASED})
        assert has_row(entry, {ERASED}) == any(row["source_id"] == "s3" for row in rows)
        if erased is not None:
            assert erased_documents(erased, {ERASED}) is None
            assert erased.header == entry.header
            for was, now in zip(rows, erased.rows.to_pylist(), strict=True):
                is_erased = was["source_id"] == "s3"
                contents = {"delete": True, "title": "", "text": "", "metadata": "", "vector": b""}
                assert now == (was | contents if is_erased else was)
    for log in _shard_logs(store, build):
        for entry in log.follow(Tail()):
            left = erased_records(entry, {ERASED}) or entry
            assert erased_records(left, {ERASED}) is None
            was, now = ({(one.position, one.item): one for one in from_entry(some)} for some in (entry, left))
            assert was.keys() == now.keys()
            for place, record in now.items():
                if record.source_id == "s3":
                    assert (record.title, record.chunks, record.metadata, record.vectors.size) == ("", [], "", 0)
                else:
                    assert record.chunks == was[place].chunks
                    assert (record.vectors == was[place].vectors).all()


def test_an_entry_without_the_document_is_left_alone() -> None:
    store = MemoryStore()
    write(store, [[Document("r1", "s1", text="keys"), Document("r2", "s2", delete=True)]])
    entry: Entry = documents_log(store).read(1)
    assert erased_documents(entry, {Source(0, "s3"), Source(1, "s1")}) is None
    assert erased_documents(entry, {Source(0, "s2")}) is None


@pytest.mark.parametrize("reason", ["the model says: keys of Ada", ""])
def test_a_models_reason_goes_too(reason: str) -> None:
    store, build = MemoryStore(), Build("build", recipe(shards=1))
    write(store, [[Document("r1", "s3", text="12 34" if reason else "keys")]])
    index_all(store, build)
    (log,) = _shard_logs(store, build)
    (record,) = from_entry(erased_records(log.read(1), {ERASED}) or log.read(1))
    assert record.rejected == ("erased" if reason else "")
