"""Snapshot sizes, compared with the files of the service's builder."""

from __future__ import annotations

import doctest
import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from infra.facts.index_parameters import INDEX_TYPES, IndexType
from infra.planning import shard_size
from infra.planning.memory import Rows, total_bytes
from infra.planning.shard_size import snapshot_terms
from service.index import structures
from service.node.builder import _write_collection
from service.storage.builds import Chunking, Embedding, IndexParameters, Recipe
from service.storage.collections import DEFAULT_ID
from service.storage.shards import Record

ROWS, DIMS = 4_000, 256
CHUNK_BYTES = 330


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(shard_size) == (0, 1)


@cache
def records() -> list[Record]:
    """Return records of one chunk, of the planned length, with title and id."""
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
        parameters("ivf", lists=60),
        parameters("pq", code_dims=16),
    ],
    ids=lambda one: f"{one.type}-{one.m}-{one.lists}-{one.code_dims}",
)
def test_the_builders_files_have_the_planned_size(
    tmp_path: Path, made: IndexParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file has as many bytes a row over few rows, and codes of few rows are trained in seconds.
    monkeypatch.setattr(structures, "TRAINED_ROWS", 1_000)
    recipe = Recipe(Embedding("words", "1", DIMS), Chunking(300, 0), made, 1, "f")
    written = _write_collection(DEFAULT_ID, recipe, records(), tmp_path, threads=1)
    assert written.share.searched is None or written.share.searched.type == made.type
    assert len(written.files) == (1 if made.type == "flat" else 2)
    real = sum((tmp_path / name).stat().st_size for name in written.files)
    rows = Rows(ROWS, DIMS, made.type, made.m, made.lists, made.code_dims)
    assert total_bytes(snapshot_terms(rows, chunk_bytes=CHUNK_BYTES)) / real == pytest.approx(1.05, abs=0.08)
    # The text differs from collection to collection; the index follows from its parameters alone.
    for name in written.files[1:]:
        assert name == structures.FILES[made.type]
        structure = snapshot_terms(rows, chunk_bytes=CHUNK_BYTES)[1].bytes
        assert structure / (tmp_path / name).stat().st_size == pytest.approx(1, abs=0.02)


def test_hnsw_and_ivf_store_the_vectors_twice() -> None:
    vectors = 10**6 * 768 * 4
    for index in INDEX_TYPES:
        rows, structure = snapshot_terms(Rows(10**6, 768, index), chunk_bytes=330)
        assert rows.bytes == vectors + 10**6 * (330 + 160)
        assert (structure.bytes > vectors) == (index in ("hnsw", "ivf"))
        assert (structure.bytes == 0) == (index == "flat")
