"""Documents become records: chunks, deletions, and documents that can never be found."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

import msgspec
import numpy as np
import pytest

from service.embedding.providers import GivenVectors
from service.index.metric import Name
from service.indexer.records import records_of
from service.storage.collections import Registry
from service.storage.content import content_hash
from service.storage.documents import Document, PlacedDocument
from service.storage.shards import Record
from tests.service.small_space import DIMS, Vectors, WordEmbedder, document, recipe


def _records(*documents: Document) -> list[Record]:
    written = [PlacedDocument(3, item, one) for item, one in enumerate(documents)]
    return records_of(written, Registry(), recipe(size=20), WordEmbedder()).records


def test_a_document_becomes_its_chunks_at_its_place() -> None:
    (record,) = _records(document("r", "s", "One thing is here. Another is there.", title="Things"))
    assert record.chunks == ["One thing is here.", "Another is there."]
    assert (record.position, record.item, record.source_id, record.title) == (3, 0, "s", "Things")
    assert record.content_hash == content_hash("Things", "One thing is here. Another is there.")
    assert record.rejected == ""


def test_chunks_are_embedded_with_their_title() -> None:
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


def test_a_document_without_known_tokens_is_rejected() -> None:
    (record,) = _records(document("r", "s", "123 456"))
    assert record.rejected == "no part of the text has a token the model knows"
    assert (record.chunks, len(record.vectors)) == ([], 0)


def test_only_the_chunks_without_direction_are_left_out() -> None:
    (record,) = _records(document("r", "s", "12345 6789 123456789\nwords to find here"))
    assert record.chunks == ["words to find here"]
    assert record.rejected == ""


class Choking(WordEmbedder):
    """An embedder that fails on texts with one word."""

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        assert reasons is not None
        reasons.update({i: "the server says 500" for i, text in enumerate(texts) if "poison" in text})
        vectors = super().embed(texts, query=query)
        vectors[list(reasons)] = 0
        return vectors


def test_a_document_with_a_part_that_fails_is_rejected_whole() -> None:
    one, two, three = (
        document("a", "s1", "fine words"),
        document("b", "s2", "Fine words. More poison."),
        document("c", "s3"),
    )
    written = [PlacedDocument(3, item, each) for item, each in enumerate((one, two, three, one))]
    records = records_of(written, Registry(), recipe(size=12), Choking()).records
    assert [record.rejected for record in records] == ["", "part 2 of 2 can't be embedded: the server says 500", "", ""]
    assert [record.chunks for record in records] == [["fine words"], [], [], ["fine words"]]
    assert [len(record.vectors) for record in records] == [1, 0, 0, 1]


def test_nothing_becomes_nothing() -> None:
    assert _records() == []


def _given(metric: Name, *documents: Document) -> list[Record]:
    plain = recipe()
    embedding = msgspec.structs.replace(plain.embedding, provider="given")
    of_vectors = msgspec.structs.replace(
        plain, embedding=embedding, index=msgspec.structs.replace(plain.index, metric=metric)
    )
    written = [PlacedDocument(3, item, one) for item, one in enumerate(documents)]
    return records_of(written, Registry(), of_vectors, GivenVectors(embedding)).records


def _with_vector(values: Sequence[float] | Vectors, text: str = "") -> Document:
    return Document("r", "s", False, "", text, vector=np.asarray(values, "<f4").tobytes())


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_given_vector_stands_for_the_whole_text(metric: Name) -> None:
    values = np.arange(DIMS, dtype=np.float32)
    text = "One thing is here. Another is there."
    (record,) = _given(metric, _with_vector(values, text))
    assert (record.chunks, record.rejected) == ([text], "")
    wanted = values / np.linalg.norm(values) if metric == "cosine" else values
    assert np.allclose(record.vectors, wanted.reshape(1, DIMS))
    assert record.content_hash == content_hash("", text, "", values.astype("<f4").tobytes())
    assert record.content_hash != content_hash("", text)


def test_an_unusable_given_vector_is_rejected_with_the_reason() -> None:
    missing, short, zero, zero_at_distance = (
        *_given("cosine", document("r", "s", "words"), _with_vector([1.0, 2.0]), _with_vector([0.0] * DIMS)),
        *_given("l2", _with_vector([0.0] * DIMS)),
    )
    assert missing.rejected == "its vector has 0 components, the index 8"
    assert short.rejected == "its vector has 2 components, the index 8"
    assert zero.rejected == "its vector is all zeros and has no direction"
    assert (zero_at_distance.rejected, len(zero_at_distance.chunks)) == ("", 1)
    assert all(len(one.vectors) == 0 for one in (missing, short, zero))


def test_a_deletion_among_given_vectors_deletes() -> None:
    (record,) = _given("cosine", document("r", "s"))
    assert (record.chunks, record.rejected) == ([], "")


def test_a_text_index_embeds_a_text_that_came_with_a_vector() -> None:
    (record,) = _records(_with_vector([1.0, 2.0], "some words"))
    assert np.array_equal(record.vectors, WordEmbedder().embed(["some words"]))
