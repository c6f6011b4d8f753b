"""A small embedding space for tests without the real model, with its recipes and records."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping, Sequence

import numpy as np
import numpy.typing as npt

from service.index.metric import METRICS, Name
from service.router.slot import Space
from service.storage.builds import Build, Chunking, Embedding, IndexParameters, Recipe
from service.storage.documents import Document
from service.storage.shards import Record

DIMS = 8
Vectors = npt.NDArray[np.float32]


class WordEmbedder:
    """Each word has a direction, and a text the sum of its words'. A text without letters has none."""

    fingerprint = "words-1"
    side_by_side = 0

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        vectors = np.zeros((len(texts), DIMS), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                if any(character.isalpha() for character in word):
                    vectors[row] += _direction(word)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
        return unit


def _direction(word: str) -> Vectors:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=DIMS).astype(np.float32)


def recipe(*, shards: int = 2, size: int = 20, ef_search: int = 50) -> Recipe:
    """Return a recipe with chunks of at most `size` characters."""
    return Recipe(
        embedding=Embedding("words", "1", DIMS),
        chunking=Chunking(size, 0),
        index=IndexParameters("hnsw", "cosine", 8, 50, ef_search),
        shards=shards,
        fingerprint="sentences-1 words-1",
    )


def space(*, metric: Name = "cosine", given: bool = False, dims: int = DIMS) -> Space:
    """Return the space of that recipe, or another."""
    return Space(Embedding("words", "1", dims, "given" if given else "wordllama"), METRICS[metric])


def build(*, shards: int = 2, name: str = "b-test") -> Build:
    """Return a build of that recipe."""
    return Build(name, recipe(shards=shards))


def unit(rows: npt.ArrayLike) -> Vectors:
    """Scale rows to unit length, shape (rows, dims)."""
    array = np.asarray(rows, np.float32)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), np.float32)


def record(source_id: str, vectors: Vectors, *, position: int = 1, item: int = 0, rejected: str = "") -> Record:
    """Return a record whose content hash and chunks follow from its place, so every write differs."""
    content = hashlib.sha256(f"{source_id} {position} {item}".encode()).digest()
    return Record(
        position=position,
        item=item,
        source_id=source_id,
        title=f"title of {source_id}",
        content_hash=content,
        chunks=[f"{source_id} {position}.{item} chunk {ordinal}" for ordinal in range(len(vectors))],
        vectors=vectors,
        rejected=rejected,
    )


def document(request_id: str, source_id: str, text: str = "", *, title: str = "") -> Document:
    """Return a write of `text`, or a deletion if text and title are empty."""
    return Document(request_id, source_id, not (text or title), title, text)
