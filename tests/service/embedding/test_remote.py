"""Remote models: batches, the cache, and which failures blame a text."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pytest
import urllib3
from botocore.retries.standard import ExponentialBackoff
from hypothesis import given
from hypothesis import strategies as st

from service.embedding import openai, remote
from service.embedding.model import Access, EmbeddingError, ModelUnavailable, UnknownModel
from service.embedding.patience import Patience
from service.embedding.providers import load
from service.embedding.remote import PROBE
from service.embedding.vector_cache import VectorCache
from service.storage.builds import Embedding
from tests.service.model_server import Failure, ModelServer, serving
from tests.service.small_space import DIMS, WordEmbedder

HASTY = Patience(timeout_seconds=5.0, attempts=3, waits=True)
TITAN = Embedding("amazon.titan-embed-text-v2:0", "2", DIMS, "bedrock")
COHERE = Embedding("cohere.embed-v4:0", "4", DIMS, "bedrock")
OPEN = Embedding("words", "1", DIMS, "openai")


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(ModelServer()) as made:
        yield made


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send again at once: no test here measures the pause between two attempts."""
    monkeypatch.setattr(urllib3.Retry, "get_backoff_time", lambda _: 0.0)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def embedder(server: ModelServer, embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> remote.RemoteEmbedder:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
    made = load(embedding, Access(f"{server.url}/v1/") if embedding.provider == "openai" else Access(), HASTY)
    assert isinstance(made, remote.RemoteEmbedder)
    return made


@pytest.mark.parametrize("embedding", [OPEN, TITAN, COHERE], ids=lambda one: one.model)
def test_texts_become_unit_vectors_in_their_order(
    server: ModelServer, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = embedder(server, embedding, monkeypatch)
    texts = [f"word{number} in a text" for number in range(130)]
    np.testing.assert_allclose(subject.embed(texts), WordEmbedder().embed(texts), atol=1e-6)
    assert subject.embed([]).shape == (0, DIMS)
    assert sorted(text for asked in server.asked() for text in asked) == sorted(texts)
    assert subject.fingerprint == f"{embedding.provider}-{embedding.model}-{embedding.version}-{DIMS}"


def test_each_kind_gets_requests_in_its_own_format(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for embedding in (OPEN, TITAN, COHERE):
        embedder(server, embedding, monkeypatch).embed(["a question"], query=True)
    bodies = [body for body in server.requests if "a question" in str(body)]
    assert bodies == [
        {"model": "words", "input": ["a question"], "encoding_format": "float", "path": "/v1/embeddings"},
        {
            "inputText": "a question",
            "dimensions": DIMS,
            "normalize": True,
            "path": "/model/amazon.titan-embed-text-v2%3A0/invoke",
        },
        {
            "texts": ["a question"],
            "input_type": "search_query",
            "embedding_types": ["float"],
            "output_dimension": DIMS,
            "path": "/model/cohere.embed-v4%3A0/invoke",
        },
    ]


def test_no_text_is_sent_twice_and_queries_differ_from_documents(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = embedder(server, COHERE, monkeypatch)
    first = subject.embed(["a", "b", "a"])
    np.testing.assert_array_equal(subject.embed(["b", "a"]), first[[1, 0]])
    assert server.asked() == [["a", "b"]]
    subject.embed(["a"], query=True)
    assert server.asked()[1:] == [["a"]]


def once(failure: Failure) -> Any:
    """Fail the first request only."""
    numbers = count()
    return lambda texts: failure if PROBE not in texts and next(numbers) == 0 else None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_retried(server: ModelServer, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    for embedding in (OPEN, TITAN):
        subject = embedder(server, embedding, monkeypatch)
        server.fails = once((status, {"Retry-After": "0"}, b'{"message": "busy"}'))
        assert subject.embed(["a"]).any()


@pytest.mark.parametrize(
    "failure",
    [
        (429, {"Retry-After": "0"}, b"slow down"),
        (401, {}, b"who are you"),
        (404, {}, b"no such model"),
        (200, {}, b"<html>"),
        (200, {}, b'{"data": []}'),
        (200, {}, b'{"data": [{"index": 0, "embedding": [null, 1]}]}'),
    ],
    ids=lambda failure: str(failure[2])[:20],
)
def test_a_lasting_failure_is_unavailable_and_blames_no_text(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, failure: Failure
) -> None:
    subject = embedder(server, OPEN, monkeypatch)
    server.fails = lambda texts: failure
    with pytest.raises(ModelUnavailable):
        subject.embed(["a"])


def test_no_server_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match="does not answer"):
        load(OPEN, Access("http://127.0.0.1:1/v1"), Patience(0.5, 1, False))
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:1")
    with pytest.raises(ModelUnavailable, match="does not answer"):
        load(TITAN, Access(), Patience(0.5, 1, False))


REFUSALS = [
    (OPEN, (400, {}, b"too many tokens")),
    (COHERE, (400, {"x-amzn-ErrorType": "ValidationException"}, b'{"message": "too long"}')),
]


@pytest.mark.parametrize(("embedding", "failure"), REFUSALS, ids=["openai", "bedrock"])
def test_a_refused_text_among_others_gets_a_zero_vector(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, embedding: Embedding, failure: Failure
) -> None:
    subject = embedder(server, embedding, monkeypatch)
    server.fails = lambda texts: failure if "endless" in texts else None
    texts = ["one", "two", "endless", "four", "five"]
    made = subject.embed(texts)
    assert made.any(axis=1).tolist() == [True, True, False, True, True]
    np.testing.assert_allclose(made[[0, 1, 3, 4]], WordEmbedder().embed(["one", "two", "four", "five"]), atol=1e-6)


@pytest.mark.parametrize(("embedding", "failure"), REFUSALS, ids=["openai", "bedrock"])
def test_if_everything_is_refused_no_text_is_given_up(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, embedding: Embedding, failure: Failure
) -> None:
    subject = embedder(server, embedding, monkeypatch)
    server.fails = lambda texts: failure
    with pytest.raises(ModelUnavailable, match="embeds no other text either"):
        subject.embed(["one", "two"])


def openais(texts: list[str], spoilt: object) -> bytes:
    """Return an answer with something else in the place of the failing text's vector."""
    made = WordEmbedder().embed(texts).tolist()
    rows = [spoilt if text == SPOILT else vector for text, vector in zip(texts, made, strict=True)]
    return json.dumps({"data": [{"index": i, "embedding": row} for i, row in enumerate(rows)]}).encode()


SPOILT = "endless"
# How servers fail on one text, and the error of each.
ON_ONE_TEXT: dict[str, tuple[Callable[[list[str]], Failure], str]] = {
    "500": (lambda _: (500, {"Retry-After": "0"}, b"NaN in the output"), "answered 500: NaN in the output"),
    "503": (lambda _: (503, {"Retry-After": "0"}, b"no worker"), "answered 503: no worker"),
    "424": (lambda _: (424, {}, b"inference failed"), "answered 424: inference failed"),
    "hangs up": (lambda _: (0, {}, b""), "does not answer"),
    "nan": (lambda texts: (200, {}, openais(texts, [math.nan] * DIMS)), "no list of embeddings"),
    "infinity": (lambda texts: (200, {}, openais(texts, [1e39] * DIMS)), "not finite"),
    "too large": (lambda texts: (200, {}, openais(texts, [1e38] * DIMS)), "not finite, or too large"),
    "null": (lambda texts: (200, {}, openais(texts, None)), "no list of embeddings"),
    "zeros": (lambda texts: (200, {}, openais(texts, [0.0] * DIMS)), "has no direction"),
    "short": (lambda texts: (200, {}, openais(texts, [1.0] * (DIMS - 1))), "dimensions"),
    "left out": (lambda _: (200, {}, b'{"data": []}'), "returned embeddings"),
    "html": (lambda _: (200, {}, b"<html>"), "no list of embeddings"),
}


@pytest.mark.parametrize("kind", ON_ONE_TEXT)
@pytest.mark.parametrize("others", [["one", "two", "four", "five"], []], ids=["among others", "alone"])
def test_a_text_on_which_a_server_always_fails_is_named(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, kind: str, others: list[str]
) -> None:
    failure, said = ON_ONE_TEXT[kind]
    subject = embedder(server, OPEN, monkeypatch)
    server.fails = lambda texts: failure(texts) if SPOILT in texts else None
    reasons: dict[int, str] = {}
    made = subject.embed([*others[:2], SPOILT, *others[2:]], reasons=reasons)
    place = len(others[:2])
    assert list(reasons) == [place]
    assert said in reasons[place]
    assert not made[place].any()
    if others:
        np.testing.assert_allclose(np.delete(made, place, 0), WordEmbedder().embed(others), atol=1e-6)


@pytest.mark.parametrize("embedding", [TITAN, COHERE], ids=["titan", "cohere"])
@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalServerException"), (424, "ModelErrorException"), (408, "ModelTimeoutException"), (200, "")],
)
def test_a_text_on_which_bedrock_always_fails_is_named(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, embedding: Embedding, status: int, code: str
) -> None:
    subject = embedder(server, embedding, monkeypatch)
    failure = (status, {"x-amzn-ErrorType": code}, b'{"message": "broken"}')
    server.fails = lambda texts: failure if SPOILT in texts else None
    reasons: dict[int, str] = {}
    assert subject.embed(["one", SPOILT, "two"], reasons=reasons).any(axis=1).tolist() == [True, False, True]
    assert list(reasons) == [1]


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_throttling_and_denied_access_blame_no_text(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    subject = embedder(server, OPEN, monkeypatch)
    server.fails = lambda texts: (status, {"Retry-After": "0"}, b"") if SPOILT in texts else None
    with pytest.raises(ModelUnavailable, match=str(status)):
        subject.embed(["one", SPOILT])


@pytest.mark.parametrize("code", ["ThrottlingException", "ModelNotReadyException", "ServiceQuotaExceededException"])
def test_bedrock_throttling_blames_no_text(server: ModelServer, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    subject = embedder(server, TITAN, monkeypatch)
    status = 400 if code.startswith("Service") else 429
    failure = (status, {"x-amzn-ErrorType": code}, b'{"message": "later"}')
    server.fails = lambda texts: failure if SPOILT in texts else None
    with pytest.raises(ModelUnavailable, match="later"):
        subject.embed([SPOILT])


def _for_everybody(failure: Callable[[list[str]], Failure], texts: list[str]) -> Failure:
    return failure([SPOILT] * len(texts))


def test_a_model_that_always_fails_costs_no_text(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = embedder(server, OPEN, monkeypatch)
    for failure, _ in ON_ONE_TEXT.values():
        server.fails = partial(_for_everybody, failure)
        with pytest.raises(ModelUnavailable, match="embeds no other text either"):
            subject.embed(["one", "two"])


class NowAndThen:
    """A server that fails every second attempt of any request; a request has five attempts, like an indexer's."""

    most_texts, most_characters = 64, 100_000

    def __init__(self) -> None:
        self._chance = random.Random(7)

    def send(self, texts: Sequence[str], *, query: bool, once: bool) -> list[list[float]]:
        if all(self._chance.random() < 0.5 for _ in range(1 if once else 5)):
            raise EmbeddingError("no worker")
        made: list[list[float]] = WordEmbedder().embed(texts).tolist()
        return made


def test_a_model_that_embeds_short_texts_alone_costs_no_text(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = embedder(server, OPEN, monkeypatch)
    long = [f"document {number} " * 30 for number in range(40)]
    assert subject.embed(long[:20]).any(axis=1).all()
    server.fails = lambda texts: (
        (500, {"Retry-After": "0"}, b"out of memory") if len(max(texts, key=len)) > 100 else None
    )
    with pytest.raises(ModelUnavailable, match="out of memory"):
        subject.embed(long)


def test_a_server_with_short_outages_costs_no_text() -> None:
    subject = remote.RemoteEmbedder(OPEN, NowAndThen())
    reasons: dict[int, str] = {}
    for number in range(3_000):
        with suppress(ModelUnavailable):
            subject.embed([f"text{number}"], reasons=reasons)
    assert not reasons


def test_a_request_too_large_for_its_server_is_halved(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = embedder(server, OPEN, monkeypatch)
    server.fails = lambda texts: (500, {"Retry-After": "0"}, b"out of memory") if len(texts) > 10 else None
    texts, reasons = [f"text{number}" for number in range(100)], dict[int, str]()
    assert subject.embed(texts, reasons=reasons).any(axis=1).all()
    assert not reasons


@pytest.mark.parametrize(("embedding", "failure"), REFUSALS, ids=["openai", "bedrock"])
def test_a_refusal_that_passes_costs_no_text(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, embedding: Embedding, failure: Failure
) -> None:
    subject = embedder(server, embedding, monkeypatch)
    server.fails = once(failure)
    assert subject.embed(["a fine text"]).any()


def test_a_refused_text_is_sent_again_next_time(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = embedder(server, OPEN, monkeypatch)
    server.fails = lambda texts: (400, {}, b"too long") if "a" in texts else None
    assert not subject.embed(["a"]).any()
    server.fails = lambda texts: None
    assert subject.embed(["a"]).any()


def test_vectors_before_a_failure_are_not_requested_again(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an indexer would never finish a step while a server throttles now and then."""
    subject = embedder(server, TITAN, monkeypatch)
    texts = [f"text{number}" for number in range(60)]
    asked = count(1)
    server.fails = lambda _: (401, {}, b"no") if next(asked) % 20 == 0 else None
    for _ in range(10):
        try:
            assert subject.embed(texts).any(axis=1).all()
            break
        except ModelUnavailable:
            continue
    else:
        raise AssertionError("no progress")


def test_a_vector_that_is_not_finite_blames_its_text(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = embedder(server, OPEN, monkeypatch)
    endless = json.dumps({"data": [{"index": 0, "embedding": [1e39] * DIMS}]}).encode()
    server.fails = lambda texts: (200, {}, endless) if texts == ["a"] else None
    assert not subject.embed(["a"]).any()
    server.dims = DIMS - 1
    with pytest.raises(ModelUnavailable, match="shape"):
        subject.embed(["b"])


def test_bedrock_is_called_in_the_instances_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ModelUnavailable, match="region"):
        load(TITAN, Access(), Patience(0.5, 1, False))
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:1")
    with pytest.raises(ModelUnavailable, match="does not answer"):
        load(TITAN, Access(), Patience(0.5, 1, False))


def test_a_changed_key_is_read_when_the_old_one_is_refused(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = iter(["old", "new"])
    monkeypatch.setattr(openai, "_secret", lambda name: next(keys))
    subject = load(OPEN, Access(server.url, "/there"), HASTY)
    server.fails = lambda texts: (
        (401, {}, b"who are you") if server.headers[-1]["Authorization"] != "Bearer new" else None
    )
    with pytest.raises(ModelUnavailable, match="401"):
        subject.embed(["a"])
    assert subject.embed(["a"]).any()


def test_another_size_than_configured_is_refused(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.dims = DIMS - 1
    with pytest.raises(UnknownModel, match=rf"shape \(1, {DIMS - 1}\); the configuration has {DIMS} dimensions"):
        embedder(server, OPEN, monkeypatch)


@pytest.mark.parametrize(
    ("embedding", "access", "words"),
    [
        (OPEN, Access(), "needs the server's base URL"),
        (OPEN, Access("ftp://x"), "needs the server's base URL"),
        (Embedding("meta.llama", "1", 4, "bedrock"), Access(), "allowed: ids with titan-embed-text or cohere.embed"),
        (Embedding("x", "1", 4, "cohere"), Access(), "allowed: wordllama, onnx, openai, bedrock"),
        (Embedding("wordllama", "0.4.0.post1", 300), Access(), "wordllama has 64, 128, 256 dimensions"),
        (Embedding("wordllama", "0.0", 256), Access(), "vectors of two versions must not meet"),
    ],
)
def test_an_impossible_configuration_is_refused_at_once(embedding: Embedding, access: Access, words: str) -> None:
    with pytest.raises(UnknownModel, match=words):
        load(embedding, access, HASTY)


def test_the_servers_key_comes_from_the_secret_parameter(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ssm:
        class exceptions:  # noqa: N801  # as boto3 names it
            ParameterNotFound = KeyError

        def get_parameter(self, **asked: Any) -> dict[str, Any]:
            return {"Parameter": {"Value": {"/there": "s3cret"}[asked["Name"]]}}

    monkeypatch.setattr(openai, "aws_client", lambda _: Ssm())
    load(OPEN, Access(server.url, "/there"), HASTY)
    load(OPEN, Access(server.url, "/gone"), HASTY)
    assert [headers.get("Authorization") for headers in server.headers] == ["Bearer s3cret", None]


def test_openais_third_generation_gets_the_wanted_size(server: ModelServer) -> None:
    load(Embedding("text-embedding-3-small", "1", DIMS, "openai"), Access(server.url), HASTY)
    assert server.requests[0]["dimensions"] == DIMS


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=30), room=st.integers(1, 12))
def test_the_cache_keeps_the_vectors_used_last(sizes: list[int], room: int) -> None:
    memory = VectorCache(4 * room)
    for number, size in enumerate(sizes):
        memory.put(str(number).encode(), np.zeros(size, np.float32))
    kept = [number for number in range(len(sizes)) if memory.get(str(number).encode()) is not None]
    assert kept == list(range(len(sizes) - len(kept), len(sizes)))
    assert sum(sizes[number] for number in kept) <= room
    assert kept or sizes[-1] > room


@given(st.lists(st.text(max_size=30), max_size=40), st.integers(1, 5), st.integers(1, 60))
def test_batches_keep_order_and_the_servers_limits(texts: list[str], most: int, characters: int) -> None:
    class Limits:
        most_texts, most_characters = most, characters

    batches = list(remote._batches(texts, Limits()))  # type: ignore[arg-type]
    assert [text for batch in batches for text in batch] == texts
    assert all(0 < len(batch) <= most for batch in batches)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= characters for batch in batches)


def test_unknown_members_of_an_answer_are_ignored() -> None:
    body = json.dumps({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1, 2.5]}]})
    assert openai._vectors("u", body.encode(), 1) == [[1.0, 2.5]]
