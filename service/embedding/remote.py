"""A model that runs elsewhere: batches, side by side, with a memory of what was asked before."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import chain
from typing import Protocol

import numpy as np
from prometheus_client import Counter, Histogram

from service.embedding.model import Failed, Unavailable, UnknownModel, Vectors, flaw, gathered, unit
from service.storage.builds import Embedding

SIDE_BY_SIDE = 8  # requests under way at once
QUESTIONS_SIDE_BY_SIDE = 16  # more than requests, since what is remembered needs none
REMEMBERED_BYTES = 64 << 20
# And all from 500 on: a server that can't embed a text says the same as one that can embed none.
SOMETIMES_A_TEXTS_FAULT = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.FAILED_DEPENDENCY)
VERDICT_ROUNDS = 3  # in turns with the probe, before a text is given up
PROBE = "Which machine is replaced when it fails?"  # no model refuses this one; later ones have been embedded

REQUESTS = Counter("vectorfleet_embedding_requests_total", "Requests to a model elsewhere", ["outcome"])
SECONDS = Histogram(
    "vectorfleet_embedding_seconds",
    "Time of a request to a model elsewhere, repetitions included",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
REMEMBERED = Counter("vectorfleet_embedding_remembered_total", "Texts whose vector was known already")
log = logging.getLogger(__name__)


class Refused(Failed):
    """The model's server calls the request wrong, or its answer is none to what was asked."""


def failure(status: int, said: str) -> Failed | Unavailable:
    """Tell by the HTTP status what may be a text's fault from throttling, and from what is about the caller."""
    return Failed(said) if status >= 500 or status in SOMETIMES_A_TEXTS_FAULT else Unavailable(said)


class Requests(Protocol):
    """
    One kind of server. A request takes at most `most_texts`, and `most_characters` where it has several.
    """

    most_texts: int
    most_characters: int

    def send(self, texts: Sequence[str], *, query: bool, once: bool) -> list[list[float]]:
        """Return a vector for each text, in order; `once` repeats nothing. Raises Unavailable, Failed or Refused."""


class Memory:
    """The vectors of the texts used last, by digest; safe to use from several threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Vectors | None:
        """The vector, which counts as used now."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def put(self, key: bytes, vector: Vectors) -> None:
        """Remember it, and forget what was used longest ago where there is no room."""
        with self._lock:
            if key not in self._known:
                self._bytes += vector.nbytes
            self._known[key] = vector
            while self._bytes > self._most_bytes:
                self._bytes -= self._known.popitem(last=False)[1].nbytes


class RemoteEmbedder:
    """A model elsewhere. Making one asks it, so that a wrong address, key or dimension shows at once."""

    side_by_side = QUESTIONS_SIDE_BY_SIDE

    def __init__(self, embedding: Embedding, requests: Requests) -> None:
        self._dims, self._requests = embedding.dims, requests
        self._memory, self._probe = Memory(REMEMBERED_BYTES), PROBE
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="embedding")
        # Nobody outside can name the weights; a provider that changes them under one name is not noticed.
        self.fingerprint = f"{embedding.provider}-{embedding.model}-{embedding.version}-{embedding.dims}"
        try:
            self._vectors([PROBE])
        except Refused as refused:
            raise UnknownModel(f"model {embedding.model} can't be used: {refused}") from refused
        except Failed as failed:
            raise Unavailable(str(failed)) from failed

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """Ask for what is not remembered, each text once; see `Embedder.embed`."""
        keys = [_key(text, query) for text in texts]
        found: dict[bytes, Vectors | Failed] = {}
        found |= {key: vector for key in set(keys) if (vector := self._memory.get(key)) is not None}
        REMEMBERED.inc(sum(key in found for key in keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        batches = list(_batches(list(missing.values()), self._requests))
        made = self._pool.map(lambda batch: self._outcomes(batch, query), batches)
        found |= zip(missing, chain.from_iterable(made), strict=True)
        return gathered([found[key] for key in keys], self._dims, reasons)

    def _outcomes(self, texts: Sequence[str], query: bool, *, once: bool = False) -> list[Vectors | Failed]:
        """
        Return the vectors of one request, and for a text on which it fails, while others pass, why.

        A request that fails is halved until the text at fault stands alone.
        """
        try:
            return list(self._remembered(texts, query, once=once))
        except Failed as failed:
            self._check_model(failed)
            if len(texts) == 1:
                return [self._verdict(texts[0], query, failed)]
            log.warning("a request failed; its halves are sent", extra={"reason": str(failed), "texts": len(texts)})
            middle = len(texts) // 2
            halves = (texts[:middle], texts[middle:])
            return [one for half in halves for one in self._outcomes(half, query, once=True)]

    def _verdict(self, text: str, query: bool, failed: Failed) -> Vectors | Failed:
        """
        Blame a text that has failed alone, unless it passes now.

        In turns with the probe, which is sent once where the text is repeated: a server that is away now and then
        must not cost a text for ever.
        """
        for _ in range(VERDICT_ROUNDS):
            try:
                vector: Vectors = self._remembered([text], query)[0]
                return vector
            except Failed as again:
                failed = again
                self._check_model(failed)
        log.warning("a text can't be embedded", extra={"reason": str(failed), "characters": len(text)})
        return failed

    def _check_model(self, failed: Failed) -> None:
        """Raise Unavailable unless the model embeds another text, one that it has embedded before, at this moment."""
        try:
            self._vectors([self._probe], once=True)
        except Failed as probe:
            raise Unavailable(f"the model embeds no other text either: {failed}; of the other: {probe}") from failed

    def _remembered(self, texts: Sequence[str], query: bool, *, once: bool = False) -> Vectors:
        """As `_vectors`; what a request brought need not be asked for again when a later one fails."""
        made = self._vectors(texts, query=query, once=once)
        for text, vector in zip(texts, made, strict=True):
            self._memory.put(_key(text, query), vector)
        # A model short of memory may embed a short text and none of those that it is there for.
        self._probe = max(texts, key=len)
        return made

    def _vectors(self, texts: Sequence[str], *, query: bool = False, once: bool = False) -> Vectors:
        outcome = "failed"
        try:
            with SECONDS.time(), np.errstate(over="ignore"):
                vectors = np.asarray(self._requests.send(texts, query=query, once=once), np.float32)
            outcome = "answered"
        except Refused:
            outcome = "refused"
            raise
        except (ValueError, TypeError) as error:
            raise Failed(f"the answer holds no vectors of one length: {error}") from error
        finally:
            REQUESTS.labels(outcome).inc()
        if vectors.shape != (len(texts), self._dims):
            raise Refused(
                f"{len(texts)} texts gave vectors of shape {vectors.shape}; the configuration wants {self._dims} "
                "dimensions, so set dims to what the model has, or name another model"
            )
        if problem := flaw(vectors):
            raise Refused(problem)
        return unit(vectors)


def _batches(texts: Sequence[str], requests: Requests) -> Iterator[list[str]]:
    """The texts in order, in as few requests as may be."""
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
