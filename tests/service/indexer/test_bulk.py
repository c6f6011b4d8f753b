"""Bulk embedding without a process: parts, and the texts that they have."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bulk_job import CorpusSource
from loadtests.corpora.choice import choose
from service.indexer.bulk import Estimate, LogSource, Part
from service.indexer.records import split_all
from service.storage.collections import Registry
from service.storage.documents import documents_log, from_entry
from service.storage.log import Tail
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, write
from tests.service.small_space import recipe


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_all_parts_together_have_each_number_once(size: int, total: int) -> None:
    parts = [Part(number, total).of(size) for number in range(total)]
    assert [*chain.from_iterable(parts)] == [*range(size)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("total", [1, 2, 7, 40, 90])
def test_parts_of_the_log_have_the_texts_that_an_indexer_embeds(total: int) -> None:
    store = MemoryStore()
    write(store, histories(5, batches=40, sources=10, voids=0.1))
    source = LogSource(store)
    batches = [one for number in range(total) for one in source.batches(Part(number, total), recipe())]
    written = [one for entry in documents_log(store).follow(Tail()) for one in from_entry(entry)]
    documents = [one for one in written if not one.document.void]
    assert len(documents) < len(written)
    assert sum(batch.documents for batch in batches) == len(documents)
    wanted = split_all(documents, Registry(), recipe()).texts
    assert len(wanted) > 20
    assert [text for batch in batches for text in batch.texts] == wanted


def test_a_build_of_a_past_position_has_no_later_texts() -> None:
    store = MemoryStore()
    write(store, histories(5, batches=40, sources=10))
    source = LogSource(store, until=12)
    assert source.size == 12
    whole = [one.documents for one in LogSource(store).batches(Part(0, 1), recipe())]
    assert [one.documents for one in source.batches(Part(0, 1), recipe())] == whole[:12]


def test_parts_of_a_corpus_have_each_document_once() -> None:
    source = CorpusSource(choose("python", small=True))
    texts = [text for number in range(3) for batch in source.batches(Part(number, 3), recipe()) for text in batch.texts]
    assert texts == [text for batch in source.batches(Part(0, 1), recipe()) for text in batch.texts]
    assert len(texts) >= source.size > 100


def test_more_workers_take_less_time() -> None:
    estimate = Estimate(10, 720_000, 360_000, 1, 10.0, 1.0)
    assert (estimate.hours(1), estimate.hours(10)) == (10.0, 1.0)
    assert estimate._replace(to_ask=0, texts_per_second=0.0).hours(4) == 0.0
