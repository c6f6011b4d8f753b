"""Equal vectors are stored once in a structure, and answers bring all their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.index import distinct, structures
from service.index import rows as rows_file
from service.index.base import Base
from service.index.bench import clustered
from service.index.canaries import RECALL_FLOORS, Canaries
from service.index.collection import CollectionIndex
from service.index.distinct import DistinctVectors, groups_of
from service.index.flat import Flat
from service.index.hnsw import Hnsw
from service.index.metric import COSINE
from service.storage.builds import IndexParameters
from service.storage.entry import Damaged
from tests.service.small_space import record, unit

DIMS = 24
HNSW = IndexParameters("hnsw", "cosine", 16, 200, 100)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=30), st.booleans())
def test_groups_are_those_of_a_loop(pairs: list[tuple[int, int]], collide: bool) -> None:
    vectors = np.asarray(pairs, np.float32).reshape(-1, 2)
    with pytest.MonkeyPatch.context() as patched:
        if collide:
            patched.setattr(distinct, "_hashes", lambda given: np.zeros(len(given), np.uint64))
        groups = groups_of(vectors)
    wanted: dict[tuple[int, int], list[int]] = {}
    for row, pair in enumerate(pairs):
        wanted.setdefault(pair, []).append(row)
    if groups is None:
        assert all(len(rows) == 1 for rows in wanted.values())
        return
    assert groups.first.tolist() == [rows[0] for rows in wanted.values()]
    assert [groups.of(number).tolist() for number in range(len(wanted))] == list(wanted.values())


def crowded(distinct_rows: int, copies: int) -> np.ndarray:
    """Return vectors of which the first is in many rows, in no order."""
    vectors = clustered(distinct_rows, DIMS)
    return np.random.default_rng(4).permutation(np.concatenate([vectors, np.repeat(vectors[:1], copies, axis=0)]))


@pytest.mark.parametrize("type_", ["hnsw", "ivf", "pq"])
def test_all_rows_of_a_vector_are_found_and_hide_no_others(
    type_: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(structures, "TRAINED_ROWS", 100)
    parameters = IndexParameters(type_, "cosine", 16, 200, 100, probes=64)  # type: ignore[arg-type]
    vectors = crowded(1_000, 3_000)
    built = structures.build(vectors, parameters, 1)
    assert isinstance(built, DistinctVectors)
    path = tmp_path / (structures.file_of(built, parameters) or "")
    built.save(path)
    exact = Flat(vectors, COSINE)
    for index in (built, structures.load(path, vectors, parameters)):
        found = wanted = 0
        for query in clustered(40, DIMS, seed=9):
            rows, scores = index.search(query, 10)
            np.testing.assert_allclose(scores, vectors[rows] @ query, atol=1e-5)
            floor = exact.search(query, 10).scores[-1] - 1e-5
            found += int((scores >= floor).sum())
            wanted += 10
        assert found / wanted > 0.9
        crowd = vectors[np.flatnonzero((vectors == np.median(vectors, axis=0)).all(axis=1))[0]]
        rows, _ = index.search(crowd, 500)
        assert len(set(rows.tolist())) == 500
        assert (vectors[rows] == crowd).all()


def test_many_chunks_of_one_text_hide_no_other_document() -> None:
    """In a graph with a node for each chunk, more than half of them were hidden."""
    random = np.random.default_rng(8)
    one, others = unit(random.normal(size=(1, 8))), unit(random.normal(size=(300, 8)))
    records = [record(f"same{number}", one) for number in range(3_000)]
    records += [record(f"other{number}", others[number : number + 1]) for number in range(300)]
    rows = rows_file.from_records(records, 8)
    index = CollectionIndex(Base(rows, structures.build(rows.vectors, HNSW, 1), HNSW), 8, COSINE)
    assert Canaries(index).recall() >= RECALL_FLOORS["hnsw"]
    assert [index.search(vector, 1)[0].source_id for vector in others] == [f"other{n}" for n in range(300)]
    hits = index.search(one[0], 20)
    assert len(hits) == 20
    assert all(hit.source_id.startswith("same") for hit in hits)


def test_an_older_graph_with_a_node_per_row_still_loads(tmp_path: Path) -> None:
    vectors = crowded(300, 50)
    Hnsw.build(vectors, HNSW, 1).save(tmp_path / "graph.hnsw")
    loaded = structures.load(tmp_path / "graph.hnsw", vectors, HNSW)
    assert isinstance(loaded, Hnsw)
    assert len(loaded) == len(vectors)
    with pytest.raises(Damaged, match=r"vectors for 349 rows"):
        structures.load(tmp_path / "graph.hnsw", vectors[:-1], HNSW)


def test_vectors_that_all_differ_cost_nothing() -> None:
    vectors = clustered(500, DIMS)
    assert groups_of(vectors) is None
    assert not isinstance(structures.build(vectors, HNSW, 1), DistinctVectors)
    assert groups_of(np.empty((0, DIMS), np.float32)) is None
