"""Records of documents: split and embedded in one batch, taken as given, or rejected with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from service.embedding.model import Embedder
from service.embedding.splitter import heading, split
from service.index.metric import METRICS
from service.storage.builds import Recipe
from service.storage.collections import Registry, from_text
from service.storage.content import content_hash
from service.storage.documents import PlacedDocument
from service.storage.shards import Record, Vectors


class IndexingResult(NamedTuple):
    """The records of some documents, and the registry after them."""

    records: list[Record]
    registry: Registry


def records_of(
    documents: Sequence[PlacedDocument], registry: Registry, slot: Recipe, embedder: Embedder
) -> IndexingResult:
    """Return one record per document, in order. Deletions have no chunks, documents that can't be embedded a reason.

    `registry` lists the collections that exist before the first document.
    """
    recipes, chunks, texts, after = split_all(documents, registry, slot)
    reasons: dict[int, str] = {}
    vectors = embedder.embed(texts, reasons=reasons) if texts else _none(slot.embedding.dims)
    failures = [reasons.get(i, "") for i in range(len(texts))]
    ends = np.cumsum([len(its_chunks) for its_chunks in chunks], dtype=np.int64)
    records = [
        _of(written, recipe, its_chunks, vectors[end - len(its_chunks) : end], failures[end - len(its_chunks) : end])
        for written, recipe, its_chunks, end in zip(documents, recipes, chunks, ends, strict=True)
    ]
    return IndexingResult(records, after)


class SplitDocuments(NamedTuple):
    """The recipe and the chunks of each document, the texts to embed for all chunks, and the registry after them."""

    recipes: list[Recipe | None]
    chunks: list[list[str]]
    texts: list[str]
    registry: Registry


def split_all(documents: Sequence[PlacedDocument], registry: Registry, slot: Recipe) -> SplitDocuments:
    """Split documents into the texts that are embedded for them; `registry` is that before the first one."""
    registries = list(accumulate(documents, _registry_after, initial=registry))
    recipes = [_recipe(one, known, slot) for one, known in zip(documents, registries[1:], strict=True)]
    chunks = [_chunks(written, recipe) for written, recipe in zip(documents, recipes, strict=True)]
    texts = [
        heading(written.document.title, chunk)
        for written, its_chunks in zip(documents, chunks, strict=True)
        for chunk in its_chunks
    ]
    return SplitDocuments(recipes, chunks, texts, registries[-1])


def _registry_after(registry: Registry, written: PlacedDocument) -> Registry:
    return from_text(written.document.registry) if written.document.registry else registry


def _recipe(written: PlacedDocument, registry: Registry, slot: Recipe) -> Recipe | None:
    """Return how the document is indexed; None if it sets the registry, or its collection does not exist."""
    collection = registry.get(written.document.collection)
    return None if collection is None or written.document.registry else collection.kind.recipe(slot)


def _chunks(written: PlacedDocument, recipe: Recipe | None) -> list[str]:
    """Return the chunks of the document that are to be embedded."""
    document = written.document
    if recipe is None or recipe.embedding.given or document.delete:
        return []
    return split(document.title, document.text, recipe.chunking)


def _of(
    written: PlacedDocument, recipe: Recipe | None, chunks: list[str], vectors: Vectors, failures: Sequence[str]
) -> Record:
    if recipe is None:
        return _record(
            written,
            [],
            vectors,
            "" if written.document.registry else "its collection was dropped before",
        )
    return _given(written, recipe) if recipe.embedding.given else _embedded(written, chunks, vectors, failures)


def _given(written: PlacedDocument, recipe: Recipe) -> Record:
    """Return a record of one chunk: the whole text under the vector that came with it."""
    dims, metric = recipe.embedding.dims, METRICS[recipe.index.metric]
    vector = np.frombuffer(written.document.vector, "<f4")
    if written.document.delete:
        return _record(written, [], _none(dims))
    if len(vector) != dims:
        return _record(written, [], _none(dims), f"its vector has {len(vector)} components, the index {dims}")
    if metric.normal and not vector.any():
        return _record(written, [], _none(dims), "its vector is all zeros and has no direction")
    return _record(written, [written.document.text], metric.prepared(vector).reshape(1, dims))


def _none(dims: int) -> Vectors:
    return np.empty((0, dims), np.float32)


def _embedded(written: PlacedDocument, chunks: list[str], vectors: Vectors, failures: Sequence[str]) -> Record:
    # Without this the document would be held, but a part of it never found.
    if failed := next(((part, why) for part, why in enumerate(failures, 1) if why), None):
        part, why = failed
        return _record(written, [], vectors[:0], f"part {part} of {len(chunks)} can't be embedded: {why}")
    # A chunk without a token that the model knows has no direction, so no search could find it.
    known = np.linalg.norm(vectors, axis=1) > 0
    rejected = "" if written.document.delete or known.any() else "no part of the text has a token the model knows"
    return _record(
        written, [chunk for chunk, keep in zip(chunks, known, strict=True) if keep], vectors[known], rejected
    )


def _record(written: PlacedDocument, chunks: list[str], vectors: Vectors, rejected: str = "") -> Record:
    document = written.document
    return Record(
        position=written.position,
        item=written.item,
        source_id=document.source_id,
        title=document.title,
        content_hash=content_hash(document.title, document.text, document.metadata, document.vector),
        metadata=document.metadata,
        if_position=document.if_position,
        collection=document.collection,
        registry=document.registry,
        chunks=chunks,
        vectors=vectors,
        rejected=rejected,
    )
