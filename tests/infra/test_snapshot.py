"""A snapshot is as large as the files that the service's builder writes."""

from __future__ import annotations

import doctest
import hashlib
from pathlib import Path

import numpy as np
import pytest

from infra import snapshot
from infra.sizing import INDEX_TYPES, IndexType, Rows
from infra.snapshot import snapshot_bytes, snapshot_terms
from service.index import structures
from service.node.build import _write_collection
from service.storage.builds import Chunking, Embedding, IndexParameters, Recipe
from service.storage.collections import DEFAULT_ID
from service.storage.shards import Record

ROWS, DIMS = 12_000, 256
CHUNK_BYTES = 330


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(snapshot) == (0, 1)


def records() -> list[Record]:
    """One chunk each, of the length that the plan assumes, with a title and an id as documents have them."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(64, DIMS))
    vectors = (centres[random.integers(64, size=ROWS)] + random.normal(size=(ROWS, DIMS))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Record(
            position=row + 1,
            item=0,
            source_id=f"handbook/chapter-{row % 40}/section-{row}",
            title=f"How the {row}th thing is done",
            content_hash=hashlib.sha256(str(row).encode()).digest(),
            chunks=["x" * CHUNK_BYTES],
            vectors=vectors[row : row + 1],
        )
        for row in range(ROWS)
    ]


def parameters(index: IndexType, *, m: int = 16, lists: int = 0, code_dims: int = 4) -> IndexParameters:
    return IndexParameters(index, "cosine", m, 100, 100, lists=lists, code_dims=code_dims)


@pytest.mark.parametrize(
    "made",
    [
        *(parameters(index, code_dims=8) for index in INDEX_TYPES),
        parameters("hnsw", m=48),
        parameters("ivf", lists=200),
        parameters("pq", code_dims=16),
    ],
    ids=lambda one: f"{one.type}-{one.m}-{one.lists}-{one.code_dims}",
)
def test_the_files_that_the_builder_writes_are_as_large_as_planned(tmp_path: Path, made: IndexParameters) -> None:
    recipe = Recipe(Embedding("words", "1", DIMS), Chunking(300, 0), made, 1, "f")
    written = _write_collection(DEFAULT_ID, recipe, records(), tmp_path, threads=2)
    assert written.share.searched is None or written.share.searched.type == made.type
    assert len(written.files) == (1 if made.type == "flat" else 2)
    real = sum((tmp_path / name).stat().st_size for name in written.files)
    rows = Rows(ROWS, DIMS, made.type, made.m, made.lists, made.code_dims)
    assert snapshot_bytes(rows, chunk_bytes=CHUNK_BYTES) / real == pytest.approx(1.05, abs=0.08)
    # The text differs from collection to collection; what stands over the rows follows from parameters alone.
    for name in written.files[1:]:
        assert name == structures.FILES[made.type]
        structure = snapshot_terms(rows, chunk_bytes=CHUNK_BYTES)[1].bytes
        assert structure / (tmp_path / name).stat().st_size == pytest.approx(1, abs=0.02)


def test_the_vectors_lie_beside_a_structure_that_has_them_too() -> None:
    vectors = 10**6 * 768 * 4
    for index in INDEX_TYPES:
        rows, structure = snapshot_terms(Rows(10**6, 768, index), chunk_bytes=330)
        assert rows.bytes == vectors + 10**6 * (330 + 160)
        assert (structure.bytes > vectors) == (index in ("hnsw", "ivf"))
        assert (structure.bytes == 0) == (index == "flat")
