"""A model that runs elsewhere: batches, side by side, with a memory of what was asked before."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from prometheus_client import Counter, Histogram

from service.embedding.model import Unavailable, UnknownModel, Vectors, unit
from service.storage.builds import Embedding

SIDE_BY_SIDE = 8  # requests under way at once
QUESTIONS_SIDE_BY_SIDE = 16  # more than requests, since what is remembered needs none
REMEMBERED_BYTES = 64 << 20
PROBE = "Which machine is replaced when it fails?"  # no model refuses this one

REQUESTS = Counter("vectorfleet_embedding_requests_total", "Requests to a model elsewhere", ["outcome"])
SECONDS = Histogram(
    "vectorfleet_embedding_seconds",
    "Time of a request to a model elsewhere, repetitions included",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
REMEMBERED = Counter("vectorfleet_embedding_remembered_total", "Texts whose vector was known already")
log = logging.getLogger(__name__)


class Refused(Exception):
    """The model's server calls the request itself wrong: a text is too long, or all of them are sent wrongly."""


class OtherShape(Unavailable):
    """The answer has another shape than asked for: at first a wrong configuration, later a server that is unwell."""


class Requests(Protocol):
    """
    One kind of server. A request takes at most `most_texts`, and `most_characters` where it has several.
    """

    most_texts: int
    most_characters: int

    def send(self, texts: Sequence[str], *, query: bool) -> list[list[float]]:
        """A vector for each text, in order. Raises Unavailable or Refused."""


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
        self._memory = Memory(REMEMBERED_BYTES)
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="embedding")
        # Nobody outside can name the weights; a provider that changes them under one name is not noticed.
        self.fingerprint = f"{embedding.provider}-{embedding.model}-{embedding.version}-{embedding.dims}"
        try:
            self._vectors([PROBE], query=False)
        except (Refused, OtherShape) as refused:
            raise UnknownModel(f"model {embedding.model} can't be used: {refused}") from refused

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """Ask for what is not remembered, each text once; see `Embedder.embed`."""
        keys = [_key(text, query) for text in texts]
        found = {key: vector for key in set(keys) if (vector := self._memory.get(key)) is not None}
        REMEMBERED.inc(sum(key in found for key in keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        batches = list(_batches(list(missing.values()), self._requests))
        # Remembered as each request returns: what one of them lacks need not be asked for by all of them again.
        made = np.concatenate([self._empty(), *self._pool.map(lambda batch: self._remembered(batch, query), batches)])
        found |= zip(missing, made, strict=True)
        return np.stack([found[key] for key in keys]) if keys else self._empty()

    def _remembered(self, texts: list[str], query: bool) -> Vectors:
        made = self._batch(texts, query)
        for text, vector in zip(texts, made, strict=True):
            # One that was refused may be taken another time.
            if vector.any():
                self._memory.put(_key(text, query), vector)
        return made

    def _batch(self, texts: list[str], query: bool) -> Vectors:
        """The vectors of one request; a text that is refused by itself, while others are not, gets a zero vector."""
        try:
            return self._vectors(texts, query=query)
        except Refused as refused:
            if len(texts) > 1:
                middle = len(texts) // 2
                return np.concatenate([self._batch(half, query) for half in (texts[:middle], texts[middle:])])
            self._blame(refused)
            try:
                # Once more, now that others are embedded: what passes must not cost a text for ever.
                return self._vectors(texts, query=query)
            except Refused as again:
                refused = again
            log.warning("a text can't be embedded", extra={"reason": str(refused), "characters": len(texts[0])})
            return np.zeros((1, self._dims), np.float32)

    def _blame(self, refused: Refused) -> None:
        """Raises Unavailable unless the text is to blame: a document is given up only where others are embedded."""
        try:
            self._vectors([PROBE], query=False)
        except Refused:
            raise Unavailable(f"the model refuses everything: {refused}") from refused

    def _vectors(self, texts: Sequence[str], *, query: bool) -> Vectors:
        outcome = "failed"
        try:
            with SECONDS.time(), np.errstate(over="ignore"):
                vectors = np.asarray(self._requests.send(texts, query=query), np.float32)
            outcome = "answered"
        except Refused:
            outcome = "refused"
            raise
        except ValueError as error:
            raise Unavailable(f"the answer holds no vectors of one length: {error}") from error
        finally:
            REQUESTS.labels(outcome).inc()
        if vectors.shape != (len(texts), self._dims):
            raise OtherShape(
                f"{len(texts)} texts gave vectors of shape {vectors.shape}; the configuration wants {self._dims} "
                "dimensions, so set dims to what the model has, or name another model"
            )
        if not np.isfinite(vectors).all():
            raise Refused("its vector holds numbers that are not finite")
        return unit(vectors)

    def _empty(self) -> Vectors:
        return np.empty((0, self._dims), np.float32)


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
