"""A remote model: batches of requests, side by side, with a cache of vectors."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import chain
from typing import Protocol

import numpy as np
from prometheus_client import Counter, Histogram

from service.embedding.model import EmbeddingError, ModelUnavailable, UnknownModel, Vectors, flaw, gathered, unit
from service.embedding.vector_cache import VectorCache
from service.storage.builds import Embedding

SIDE_BY_SIDE = 8  # requests under way at once
QUESTIONS_SIDE_BY_SIDE = 16  # more than requests, because cached queries need none
REMEMBERED_BYTES = 64 << 20
# And all from 500 on: a server that can't embed one text answers the same as one that can embed none.
SOMETIMES_A_TEXTS_FAULT = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.FAILED_DEPENDENCY)
VERDICT_ROUNDS = 3  # alternating with the probe, before a text is given up
PROBE = "Which machine is replaced when it fails?"  # no model refuses this one; later probes have been embedded before

REQUESTS = Counter("vectorfleet_embedding_requests_total", "Requests to a model elsewhere", ["outcome"])
SECONDS = Histogram(
    "vectorfleet_embedding_seconds",
    "Time of a request to a model elsewhere, repetitions included",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
REMEMBERED = Counter("vectorfleet_embedding_remembered_total", "Texts whose vector was known already")
log = logging.getLogger(__name__)


class RequestRefused(EmbeddingError):
    """The model's server calls the request invalid, or its answer does not match the request."""


def failure(status: int, said: str) -> EmbeddingError | ModelUnavailable:
    """Tell errors that may be a text's fault from throttling and errors of the caller, by the HTTP status."""
    return EmbeddingError(said) if status >= 500 or status in SOMETIMES_A_TEXTS_FAULT else ModelUnavailable(said)


class Requests(Protocol):
    """One kind of server. A request takes at most `most_texts`, and `most_characters` if it has several texts."""

    most_texts: int
    most_characters: int

    def send(self, texts: Sequence[str], *, query: bool, once: bool) -> list[list[float]]:
        """Return a vector for each text, in order; `once` retries nothing.

        Raise ModelUnavailable, EmbeddingError or RequestRefused.
        """


class RemoteEmbedder:
    """A remote model. The constructor calls it, so a wrong address, key or dimension fails at once."""

    side_by_side = QUESTIONS_SIDE_BY_SIDE

    def __init__(self, embedding: Embedding, requests: Requests) -> None:
        self._dims, self._requests = embedding.dims, requests
        self._memory, self._probe = VectorCache(REMEMBERED_BYTES), PROBE
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="embedding")
        # The weights have no public name: a provider that changes them under one model name is not noticed.
        self.fingerprint = f"{embedding.provider}-{embedding.model}-{embedding.version}-{embedding.dims}"
        try:
            self._vectors([PROBE])
        except RequestRefused as refused:
            raise UnknownModel(f"model {embedding.model} can't be used: {refused}") from refused
        except EmbeddingError as failed:
            raise ModelUnavailable(str(failed)) from failed

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """Request the texts that are not in the cache, each once; see `Embedder.embed`."""
        keys = [_key(text, query) for text in texts]
        found: dict[bytes, Vectors | EmbeddingError] = {}
        found |= {key: vector for key in set(keys) if (vector := self._memory.get(key)) is not None}
        REMEMBERED.inc(sum(key in found for key in keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        batches = list(_batches(list(missing.values()), self._requests))
        made = self._pool.map(lambda batch: self._outcomes(batch, query), batches)
        found |= zip(missing, chain.from_iterable(made), strict=True)
        return gathered([found[key] for key in keys], self._dims, reasons)

    def _outcomes(self, texts: Sequence[str], query: bool, *, once: bool = False) -> list[Vectors | EmbeddingError]:
        """Return the vectors of one request, and the error of each text that fails while others pass.

        A request that fails is halved until the text at fault stands alone.
        """
        try:
            return list(self._remembered(texts, query, once=once))
        except EmbeddingError as failed:
            self._check_model(failed)
            if len(texts) == 1:
                return [self._verdict(texts[0], query, failed)]
            log.warning("a request failed; sending its halves", extra={"reason": str(failed), "texts": len(texts)})
            middle = len(texts) // 2
            halves = (texts[:middle], texts[middle:])
            return [one for half in halves for one in self._outcomes(half, query, once=True)]

    def _verdict(self, text: str, query: bool, failed: EmbeddingError) -> Vectors | EmbeddingError:
        """Blame a text that has failed alone, unless it passes now.

        The text alternates with the probe, which is sent once while the text is retried: a server with short outages
        must not cost a text for ever.
        """
        for _ in range(VERDICT_ROUNDS):
            try:
                vector: Vectors = self._remembered([text], query)[0]
                return vector
            except EmbeddingError as again:
                failed = again
                self._check_model(failed)
        log.warning("a text can't be embedded", extra={"reason": str(failed), "characters": len(text)})
        return failed

    def _check_model(self, failed: EmbeddingError) -> None:
        """Raise ModelUnavailable unless the model now embeds another text, one that it has embedded before."""
        try:
            self._vectors([self._probe], once=True)
        except EmbeddingError as probe:
            raise ModelUnavailable(f"the model embeds no other text either: {failed}; probe: {probe}") from failed

    def _remembered(self, texts: Sequence[str], query: bool, *, once: bool = False) -> Vectors:
        """Do as `_vectors` does, and cache the result: a later failed request must not cost it."""
        made = self._vectors(texts, query=query, once=once)
        for text, vector in zip(texts, made, strict=True):
            self._memory.put(_key(text, query), vector)
        # A model short of memory may embed a short text but not the long ones it is needed for.
        self._probe = max(texts, key=len)
        return made

    def _vectors(self, texts: Sequence[str], *, query: bool = False, once: bool = False) -> Vectors:
        outcome = "failed"
        try:
            with SECONDS.time(), np.errstate(over="ignore"):
                vectors = np.asarray(self._requests.send(texts, query=query, once=once), np.float32)
            outcome = "answered"
        except RequestRefused:
            outcome = "refused"
            raise
        except (ValueError, TypeError) as error:
            raise EmbeddingError(f"the answer has no vectors of one length: {error}") from error
        finally:
            REQUESTS.labels(outcome).inc()
        if vectors.shape != (len(texts), self._dims):
            raise RequestRefused(
                f"{len(texts)} texts gave vectors of shape {vectors.shape}; the configuration has {self._dims} "
                "dimensions, so set dims to what the model has, or name another model"
            )
        if problem := flaw(vectors):
            raise RequestRefused(problem)
        return unit(vectors)


def _batches(texts: Sequence[str], requests: Requests) -> Iterator[list[str]]:
    """Yield the texts in order, in as few requests as possible."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == requests.most_texts or characters + len(text) > requests.most_characters):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _key(text: str, query: bool) -> bytes:
    return hashlib.sha256((b"q" if query else b"d") + text.encode()).digest()
