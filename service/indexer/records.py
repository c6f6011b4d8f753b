"""Documents to records: split, embed in one batch, or take what was given; and say of what can never be indexed why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.embedding.model import Embedder
from service.embedding.splitter import heading, split
from service.index.metric import METRICS
from service.storage.builds import Recipe
from service.storage.content import content_hash
from service.storage.documents import Written
from service.storage.shards import Record, Vectors


def records_of(documents: Sequence[Written], recipe: Recipe, embedder: Embedder) -> list[Record]:
    """One record per document, in order; deletions have no chunks, hopeless documents a reason."""
    if recipe.embedding.given:
        return [_given(written, recipe) for written in documents]
    chunks = [_chunks(written, recipe) for written in documents]
    texts = [
        heading(written.document.title, chunk)
        for written, its_chunks in zip(documents, chunks, strict=True)
        for chunk in its_chunks
    ]
    vectors = embedder.embed(texts)
    ends = np.cumsum([len(its_chunks) for its_chunks in chunks], dtype=np.int64)
    return [
        _embedded(written, its_chunks, vectors[end - len(its_chunks) : end])
        for written, its_chunks, end in zip(documents, chunks, ends, strict=True)
    ]


def _chunks(written: Written, recipe: Recipe) -> list[str]:
    document = written.document
    return [] if document.delete else split(document.title, document.text, recipe.chunking)


def _given(written: Written, recipe: Recipe) -> Record:
    """One chunk: the whole text under the vector that came with it."""
    dims, metric = recipe.embedding.dims, METRICS[recipe.index.metric]
    vector = np.frombuffer(written.document.vector, "<f4")
    if written.document.delete:
        return _record(written, [], _none(dims))
    if len(vector) != dims:
        return _record(written, [], _none(dims), f"it has {len(vector)} components of a vector, the index {dims}")
    if metric.normal and not vector.any():
        return _record(written, [], _none(dims), "its vector is all zeros and has no direction")
    return _record(written, [written.document.text], metric.prepared(vector).reshape(1, dims))


def _none(dims: int) -> Vectors:
    return np.empty((0, dims), np.float32)


def _embedded(written: Written, chunks: list[str], vectors: Vectors) -> Record:
    # A chunk without any token that the model knows has no direction and could never be found.
    known = np.linalg.norm(vectors, axis=1) > 0
    rejected = "" if written.document.delete or known.any() else "no part of the text has a token the model knows"
    return _record(
        written, [chunk for chunk, keep in zip(chunks, known, strict=True) if keep], vectors[known], rejected
    )


def _record(written: Written, chunks: list[str], vectors: Vectors, rejected: str = "") -> Record:
    document = written.document
    return Record(
        position=written.position,
        item=written.item,
        source_id=document.source_id,
        title=document.title,
        content_hash=content_hash(document.title, document.text, document.metadata, document.vector),
        metadata=document.metadata,
        if_position=document.if_position,
        chunks=chunks,
        vectors=vectors,
        rejected=rejected,
    )
