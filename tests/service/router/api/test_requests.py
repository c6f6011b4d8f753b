"""Every bad input is answered with a sentence that says what was given and what is allowed."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from starlette.requests import Request

from service.index.metric import COSINE, Name
from service.router.api.decoding import decoded
from service.router.api.requests import (
    CollectionRequest,
    DocumentWrite,
    LookupRequest,
    SearchRequest,
    WriteRequest,
    collection_name,
    collection_reference,
    float32_of,
)
from service.router.slot import Space
from service.storage.builds import Embedding
from service.wire.limits import MAX_BODY_BYTES
from service.wire.problems import Problem
from tests.service.small_space import space

SPACE = space(dims=3)
SPACE_OF_TEXTS = Embedding("model", "1", 3)


def _decode(shape: type[Any], body: bytes | dict[str, object]) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    blocks = [raw[at : at + (1 << 20)] for at in range(0, len(raw), 1 << 20)] or [b""]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": blocks.pop(0), "more_body": bool(blocks)}

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    return asyncio.run(decoded(request, shape))


def _write(document: dict[str, object]) -> Any:
    (one,) = _decode(WriteRequest, {"documents": [document]}).documents
    return one.document(SPACE)


GOOD: dict[str, object] = {"source_id": "a", "title": "t", "text": "x"}


@pytest.mark.parametrize(
    ("shape", "body", "sentence"),
    [
        (WriteRequest, b"", "the body is not a WriteRequest: "),
        (WriteRequest, b"{", "the body is not a WriteRequest: "),
        (WriteRequest, b"[]", "Expected `object`, got `array`"),
        (WriteRequest, b'{"documents":[{"source_id":"\xff"}]}', "the body is not a WriteRequest: "),
        (WriteRequest, b'{"documents":[{"source_id":"\\ud800","text":"x"}]}', "the body is not a WriteRequest: "),
        (WriteRequest, b"[" * 100_000, "the body is not a WriteRequest: "),
        (WriteRequest, {}, "missing required field `documents`"),
        (WriteRequest, {"documents": []}, "`array` of length >= 1"),
        (WriteRequest, {"documents": [GOOD] * 1_001}, "`array` of length <= 1000"),
        (WriteRequest, {"documents": [GOOD], "if": 1}, "unknown field `if`"),
        (WriteRequest, {"documents": [GOOD | {"source_id": ""}]}, "`str` of length >= 1"),
        (WriteRequest, {"documents": [GOOD | {"source_id": "s" * 513}]}, "`str` of length <= 512"),
        (WriteRequest, {"documents": [GOOD | {"request_id": "r" * 129}]}, "`str` of length <= 128"),
        (WriteRequest, {"documents": [GOOD | {"title": "t" * 1_025}]}, "`str` of length <= 1024"),
        (WriteRequest, {"documents": [GOOD | {"text": None}]}, "Expected `str`, got `null`"),
        (WriteRequest, {"documents": [GOOD | {"txt": "?"}]}, "unknown field `txt`"),
        (LookupRequest, {"source_ids": []}, "`array` of length >= 1"),
        (LookupRequest, {"source_ids": ["a"] * 1_001}, "`array` of length <= 1000"),
        (LookupRequest, {"source_ids": ["a"], "min_position": -1}, "`int` >= 0"),
        (LookupRequest, {"source_ids": ["a"], "min_position": 1 << 63}, "`int` <= 9223372036854775807"),
        (SearchRequest, {"text": "a", "k": 0}, "`int` >= 1"),
        (SearchRequest, {"text": "a", "k": 1_001}, "`int` <= 1000"),
        (SearchRequest, {"text": "a", "k": "ten"}, "Expected `int`, got `str`"),
        (SearchRequest, {"text": "a", "min_position": 10**30}, "`int` <= 9223372036854775807"),
        (SearchRequest, {"text": "a", "exakt": True}, "unknown field `exakt`"),
        (SearchRequest, {"text": "a" * 20_001}, "`str` of length <= 20000"),
        (SearchRequest, {"vector": ["a"]}, "Expected `float`, got `str`"),
    ],
)
def test_a_body_that_is_not_the_request_is_422(
    shape: type[Any], body: bytes | dict[str, object], sentence: str
) -> None:
    with pytest.raises(Problem) as refused:
        _decode(shape, body)
    assert refused.value.status == 422
    assert sentence in refused.value.detail


def test_a_body_that_is_too_large_is_413_with_the_limit() -> None:
    with pytest.raises(Problem) as refused:
        _decode(WriteRequest, b" " * (MAX_BODY_BYTES + 1))
    assert refused.value.status == 413
    assert refused.value.detail == "the body is larger than 16777216 bytes; send fewer documents at a time"


@pytest.mark.parametrize(
    ("document", "status", "sentence"),
    [
        (GOOD | {"delete": True}, 422, "document 'a': a deletion has no title, text, metadata or vector"),
        ({"source_id": "a"}, 422, "document 'a': title and text are empty; to remove it, send delete: true"),
        ({"source_id": "a", "text": " \n"}, 422, "document 'a': title and text are empty"),
        ({"source_id": "a", "text": "ä" * (1 << 19) + "x"}, 413, "1048577 bytes of text, allowed 1048576"),
    ],
)
def test_a_document_that_can_never_be_indexed_is_refused(
    document: dict[str, object], status: int, sentence: str
) -> None:
    with pytest.raises(Problem) as refused:
        _write(document)
    assert refused.value.status == status
    assert sentence in refused.value.detail


def test_documents_keep_their_request_id_or_get_one_each() -> None:
    assert _write(GOOD | {"request_id": "mine"}).request_id == "mine"
    made = {_write(GOOD).request_id for _ in range(10)}
    assert len(made) == 10
    assert all(made)


def test_one_request_id_for_two_documents_of_a_batch_is_refused() -> None:
    one, other = GOOD | {"request_id": "r"}, GOOD | {"source_id": "b", "request_id": "r"}
    batch = _decode(WriteRequest, {"documents": [one, GOOD, other, GOOD]})
    with pytest.raises(Problem) as refused:
        batch.check()
    assert refused.value.status == 422
    assert refused.value.detail == (
        "request_id 'r' is given for more than one document; only the first would count, so give each its own"
    )
    _decode(WriteRequest, {"documents": [one, GOOD, GOOD]}).check()


@pytest.mark.parametrize(
    "body", [{}, {"text": "  "}, {"text": "a", "vector": [1.0]}, {"text": "", "vector": None}, {"k": 3}]
)
def test_a_search_needs_exactly_one_of_text_and_vector(body: dict[str, object]) -> None:
    with pytest.raises(Problem, match="give either text or vector, and exactly one of them"):
        _decode(SearchRequest, body).check()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e14])
def test_for_cosine_a_vector_of_any_length_is_scaled_to_one(scale: float) -> None:
    vector = COSINE.prepared(float32_of([3 * scale, 0, 4 * scale], SPACE))
    assert vector.dtype == np.float32
    assert vector.tolist() == pytest.approx([0.6, 0, 0.8])


@pytest.mark.parametrize(
    ("vector", "sentence"),
    [
        ([], "the vector has 0 components; 3 are required"),
        ([1.0, 2.0], "the vector has 2 components; 3 are required"),
        ([0.0, 0.0, 0.0], "the vector must not be all zeros: it has no direction"),
        ([1e-50, 0.0, 0.0], "the vector must not be all zeros: it has no direction"),
        ([1e16, 0.0, 0.0], "the vector's components must be finite, from -1e+15 to 1e+15"),
        ([float("inf"), 0.0, 0.0], "the vector's components must be finite, from -1e+15 to 1e+15"),
        ([float("nan"), 0.0, 0.0], "the vector's components must be finite, from -1e+15 to 1e+15"),
    ],
)
def test_a_vector_without_direction_or_of_another_size_is_422(vector: list[float], sentence: str) -> None:
    with pytest.raises(Problem) as refused:
        float32_of(vector, SPACE)
    assert (refused.value.status, refused.value.detail) == (422, sentence)


def test_a_deletion_named_in_a_path_obeys_the_same_limits() -> None:
    assert DocumentWrite.deletion("a/b").document(SPACE).delete
    for bad in ("", "s" * 513):
        with pytest.raises(Problem) as refused:
            DocumentWrite.deletion(bad)
        assert (refused.value.status, "source_id" in refused.value.detail) == (422, True)


GIVEN = space(given=True, dims=3)


@pytest.mark.parametrize("vector", [[1, 2, 3], base64.b64encode(np.asarray([1, 2, 3], "<f4").tobytes()).decode()])
def test_a_given_vector_is_kept_as_it_was_given(vector: object) -> None:
    document = _decode(DocumentWrite, {"source_id": "a", "vector": vector}).document(GIVEN)
    assert document.vector == np.asarray([1, 2, 3], "<f4").tobytes()
    assert (document.title, document.text) == ("", "")


@pytest.mark.parametrize(
    ("document", "where", "sentence"),
    [
        ({"text": "x"}, GIVEN, "document 'a' needs a vector, of model words/1"),
        ({"vector": [1, 2]}, GIVEN, "document 'a': the vector has 2 components; 3 are required"),
        ({"vector": "AA=="}, GIVEN, "document 'a': the vector is not base64 of little-endian float32"),
        ({"vector": [0, 0, 0]}, GIVEN, "document 'a': the vector must not be all zeros"),
        ({"vector": [1, 2, 3], "delete": True}, GIVEN, "a deletion has no title, text, metadata or vector"),
        ({"vector": [1, 2, 3], "text": "x"}, SPACE, "may not have a vector: its text is embedded, with words/1"),
    ],
)
def test_a_missing_unwanted_or_invalid_vector_is_refused(
    document: dict[str, object], where: Space, sentence: str
) -> None:
    with pytest.raises(Problem) as refused:
        _decode(DocumentWrite, {"source_id": "a"} | document).document(where)
    assert refused.value.status == 422
    assert sentence in refused.value.detail


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_only_cosine_refuses_a_vector_without_direction(metric: Name) -> None:
    document = _decode(DocumentWrite, {"source_id": "a", "vector": [0, 0, 0]})
    assert document.document(space(given=True, dims=3, metric=metric)).vector == bytes(12)


def test_another_model_than_the_slots_is_a_conflict() -> None:
    GIVEN.check("")
    GIVEN.check("words/1")
    with pytest.raises(Problem) as refused:
        GIVEN.check("words/2")
    assert (refused.value.status, refused.value.detail) == (
        409,
        "this slot serves model words/1, the request names words/2",
    )


@pytest.mark.parametrize("name", ["", "Notes", "-a", "a" * 64, "notes\n", "default\n", "no tes", "a/b"])
def test_what_no_collection_can_be_named_is_refused(name: str) -> None:
    for read in (collection_name, collection_reference):
        with pytest.raises(Problem, match="not the name of a collection"):
            read(name)


def test_only_a_collection_of_vectors_needs_a_body() -> None:
    assert _decode(CollectionRequest, b"") == CollectionRequest()
    with pytest.raises(Problem, match='"source": "vector"'):
        _decode(CollectionRequest, {"dims": 3}).kind(SPACE_OF_TEXTS)
    with pytest.raises(Problem, match="missing required field `documents`"):
        _decode(WriteRequest, b"")


def test_a_model_is_named_in_one_line() -> None:
    for model in ("a/b\n", "a\nb/1", "a", "a/b/c"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"source": "vector", "dims": 3, "model": model}, CollectionRequest)
