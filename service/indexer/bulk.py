"""Embedding in bulk: many workers embed parts of a source, side by side, into the embedding memory of a slot.

The slot's indexer finds the vectors there and asks no model. A part may be done twice, and by two workers at once:
what is remembered is not embedded again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from service.embedding import providers
from service.embedding.memory import MOST_VECTORS, VectorMemory
from service.embedding.model import UnknownModel
from service.embedding.patience import PATIENT
from service.embedding.remembering import CHARACTERS_PER_TOKEN, RememberingEmbedder
from service.embedding.segments import Segments
from service.indexer.records import split_all
from service.settings import load_parameters
from service.storage.builds import Recipe, Slots
from service.storage.collections import registry_at
from service.storage.documents import documents_log, from_entry
from service.storage.log import Tail, tail_of
from service.storage.objects import ObjectStore

# A model on this processor is fastest with some hundred texts at once, and a remote one has several requests of them.
TEXTS_AT_ONCE = 512
SAMPLED_PARTS = 20
# A source that has no more than this is read whole for an estimate.
SAMPLING_PARTS = 1_000
SAMPLED_TEXTS = 1_000


class Part(NamedTuple):
    """Part `number` of `total`, from 0."""

    number: int
    total: int

    def of(self, size: int) -> range:
        """Return the part of the numbers from 0 to `size`, exclusive. All parts together have each number once."""
        return range(size * self.number // self.total, size * (self.number + 1) // self.total)


class Batch(NamedTuple):
    """The texts to embed for some documents."""

    documents: int
    texts: list[str]


class Source(Protocol):
    """Documents in an order that stays. `size` counts what parts are made of: documents, or entries of a log."""

    @property
    def size(self) -> int: ...

    def batches(self, part: Part, recipe: Recipe) -> Iterator[Batch]:
        """Yield the texts of a part, as the recipe splits them."""


class Embedded(NamedTuple):
    """Counts of a part. `asked` texts were embedded by the model, which failed on some; the others were remembered."""

    documents: int = 0
    texts: int = 0
    asked: int = 0
    failed: int = 0
    characters: int = 0

    def __add__(self, other: object) -> Embedded:
        """Sum each count."""
        return Embedded(*map(sum, zip(self, other, strict=True))) if isinstance(other, Embedded) else NotImplemented


class Speed(NamedTuple):
    """The speed of a worker on this machine, and the processors that it used."""

    texts_per_second: float
    processors: float


class Estimate(NamedTuple):
    """The work that a source is expected to take, by a sample embedded on this machine.

    A worker embeds `texts_per_second` and uses so many `processors`.
    """

    documents: int
    texts: int
    to_ask: int
    tokens_to_ask: int
    texts_per_second: float
    processors: float

    def hours(self, workers: int) -> float:
        """Return the hours that so many workers take."""
        return self.to_ask / self.texts_per_second / workers / 3600 if self.to_ask else 0.0

    @property
    def is_remembered(self) -> bool:
        """Return whether the memory has room for all vectors."""
        return self.texts <= MOST_VECTORS


class LogSource:
    """The documents log as a source, up to the head that it has now."""

    def __init__(self, store: ObjectStore, until: int | None = None) -> None:
        self._store = store
        self.size = documents_log(store, until).head()

    def batches(self, part: Part, recipe: Recipe) -> Iterator[Batch]:
        """Yield the texts of each entry of a part. Raise StoreError and Damaged."""
        entries = part.of(self.size)
        log = documents_log(self._store)
        before = tail_of(log.read(entries.start)) if entries.start else Tail()
        registry = registry_at(log, before.collections)
        for _, entry in zip(entries, log.follow(before), strict=False):
            if entry.header.voids == entry.header.number:
                continue
            documents = [*from_entry(entry)]
            split = split_all(documents, registry, recipe)
            registry = split.registry
            yield Batch(len(documents), split.texts)


class BulkEmbedder:
    """A worker: the model of a slot and its embedding memory. Not thread-safe."""

    def __init__(self, parameters: str, slot: str, model_folder: str = "") -> None:
        """Load a slot's configuration from `parameters`, a prefix of SSM parameters, and then its model.

        Raise UnknownModel, ModelUnavailable, BadSettings and StoreError.
        """
        configured = load_parameters(parameters, slot)
        self.documents, index = ObjectStore(configured.storage.documents), ObjectStore(configured.storage.index)
        found = Slots(index).find(slot)
        # Its indexer extends an existing build by the build's own recipe.
        self.recipe = configured.recipe() if found is None else found.recipe
        embedding = self.recipe.embedding
        if embedding.given:
            raise UnknownModel(f"slot {slot} gets its vectors with the documents, so there is nothing to embed")
        access = msgspec.structs.replace(configured.access, folder=model_folder)
        self._model = providers.load(embedding, access, PATIENT)
        self._memory = VectorMemory(Segments(index, self._model.fingerprint, embedding.dims))
        self.until = configured.fleet.until

    def embed(self, batches: Iterable[Batch]) -> Embedded:
        """Embed what is not remembered; return once all of it is in S3. Raise ModelUnavailable."""
        embedder, done = RememberingEmbedder(self._model, self._memory), Embedded()
        for documents, texts in _filled(batches):
            reasons: dict[int, str] = {}
            asked = embedder.asked
            embedder.embed(texts, reasons=reasons)
            self._memory.write_due()
            done += Embedded(documents, len(texts), embedder.asked - asked, len(reasons), sum(map(len, texts)))
        self._memory.write()
        return done

    def estimate(self, source: Source) -> Estimate:
        """Estimate the work from parts that are spread over the source, by embedding some of their texts for the time.

        Nothing is remembered. Raise ModelUnavailable.
        """
        count = max(1, min(SAMPLING_PARTS, source.size))
        numbers = sorted({count * one // SAMPLED_PARTS for one in range(SAMPLED_PARTS)})
        sampled = [batch for number in numbers for batch in source.batches(Part(number, count), self.recipe)]
        texts = [text for batch in sampled for text in batch.texts]
        keys = [self._memory.segments.key_of(text) for text in texts]
        known = self._memory.find({*keys})
        missing = [text for key, text in zip(keys, texts, strict=True) if key not in known]
        whole, speed = count / len(numbers), self._speed(missing[:: max(1, len(missing) // SAMPLED_TEXTS)])
        return Estimate(
            documents=round(whole * sum(batch.documents for batch in sampled)),
            texts=round(whole * len(texts)),
            to_ask=round(whole * len(missing)),
            tokens_to_ask=round(whole * sum(map(len, missing)) / CHARACTERS_PER_TOKEN),
            texts_per_second=speed.texts_per_second,
            processors=speed.processors,
        )

    def _speed(self, texts: list[str]) -> Speed:
        """Embed texts for the time that it takes; no speed without any."""
        started, worked = time.monotonic(), time.process_time()
        for first in range(0, len(texts), TEXTS_AT_ONCE):
            self._model.embed(texts[first : first + TEXTS_AT_ONCE], reasons={})
        seconds = time.monotonic() - started
        return Speed(len(texts) / seconds, (time.process_time() - worked) / seconds) if texts else Speed(0.0, 0.0)


def _filled(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Put small batches together until they have TEXTS_AT_ONCE texts."""
    documents, texts = 0, list[str]()
    for batch in batches:
        documents += batch.documents
        texts += batch.texts
        if len(texts) >= TEXTS_AT_ONCE:
            yield Batch(documents, texts)
            documents, texts = 0, []
    if documents:
        yield Batch(documents, texts)
