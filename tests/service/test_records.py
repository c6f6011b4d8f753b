"""Documents to records: chunks, deletions, and documents that can never be found."""

from __future__ import annotations

import numpy as np

from service.indexer.records import records_of
from service.storage.documents import Document, Written, content_hash
from service.storage.shards import Record
from tests.service.small_space import DIMS, WordEmbedder, document, recipe


def _records(*documents: Document) -> list[Record]:
    written = [Written(3, item, one) for item, one in enumerate(documents)]
    return records_of(written, recipe(size=20), WordEmbedder())


def test_a_document_becomes_its_chunks_at_its_place() -> None:
    (record,) = _records(document("r", "s", "One thing is here. Another is there.", title="Things"))
    assert record.chunks == ["One thing is here.", "Another is there."]
    assert (record.position, record.item, record.source_id, record.title) == (3, 0, "s", "Things")
    assert record.content_hash == content_hash("Things", "One thing is here. Another is there.")
    assert record.rejected == ""


def test_chunks_are_embedded_under_their_title_and_stay_with_their_document() -> None:
    documents = [document(f"r{n}", f"s{n}", f"word{n} more. " * (n + 1), title=f"title{n}") for n in range(4)]
    alone = [_records(one)[0] for one in documents]
    together = _records(*documents)
    assert [r.chunks for r in together] == [r.chunks for r in alone]
    assert all(np.array_equal(a.vectors, b.vectors) for a, b in zip(together, alone, strict=True))
    wanted = WordEmbedder().embed([f"title2. {chunk}" for chunk in together[2].chunks])
    assert np.array_equal(together[2].vectors, wanted)


def test_a_deletion_has_no_chunks_and_is_not_rejected() -> None:
    (record,) = _records(document("r", "s"))
    assert (record.chunks, record.vectors.shape, record.rejected) == ([], (0, DIMS), "")


def test_a_document_without_any_known_token_is_rejected_with_the_reason() -> None:
    (record,) = _records(document("r", "s", "123 456"))
    assert record.rejected == "no part of the text has a token the model knows"
    assert (record.chunks, len(record.vectors)) == ([], 0)


def test_only_the_chunks_without_direction_are_left_out() -> None:
    (record,) = _records(document("r", "s", "12345 6789 123456789\nwords to find here"))
    assert record.chunks == ["words to find here"]
    assert record.rejected == ""


def test_nothing_becomes_nothing() -> None:
    assert _records() == []
