"""Documents to records: split, embed in one batch, and say of what can never be embedded why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.embedding.model import Embedder
from service.embedding.splitter import heading, split
from service.storage.builds import Recipe
from service.storage.documents import Written, content_hash
from service.storage.shards import Record


def records_of(documents: Sequence[Written], recipe: Recipe, embedder: Embedder) -> list[Record]:
    """One record per document, in order; deletions have no chunks, hopeless documents a reason."""
    chunks = [_chunks(written, recipe) for written in documents]
    texts = [
        heading(written.document.title, chunk)
        for written, its_chunks in zip(documents, chunks, strict=True)
        for chunk in its_chunks
    ]
    vectors = embedder.embed(texts)
    ends = np.cumsum([len(its_chunks) for its_chunks in chunks], dtype=np.int64)
    return [
        _record(written, its_chunks, vectors[end - len(its_chunks) : end])
        for written, its_chunks, end in zip(documents, chunks, ends, strict=True)
    ]


def _chunks(written: Written, recipe: Recipe) -> list[str]:
    document = written.document
    return [] if document.delete else split(document.title, document.text, recipe.chunking)


def _record(written: Written, chunks: list[str], vectors: np.ndarray) -> Record:
    # A chunk without any token that the model knows has no direction and could never be found.
    known = np.linalg.norm(vectors, axis=1) > 0
    document = written.document
    rejected = "" if document.delete or known.any() else "no part of the text has a token the model knows"
    return Record(
        position=written.position,
        item=written.item,
        source_id=document.source_id,
        title=document.title,
        content_hash=content_hash(document.title, document.text),
        chunks=[chunk for chunk, keep in zip(chunks, known, strict=True) if keep],
        vectors=vectors[known],
        rejected=rejected,
    )
