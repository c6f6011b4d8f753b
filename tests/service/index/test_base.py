"""A graph over rows answers like exact search, without rows that were replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.index import rows as rows_file
from service.index import structures
from service.index.base import Base
from service.index.metric import COSINE
from service.index.part import best_rows
from service.storage.entry import Damaged
from tests.service.small_space import DIMS, Vectors, recipe, record, unit

PARAMETERS = recipe().index


def _base(vectors: Vectors) -> Base:
    rows = rows_file.from_records([record(f"s{n}", vectors[n : n + 1]) for n in range(len(vectors))], DIMS)
    return Base(rows, structures.build(vectors, PARAMETERS, 1), PARAMETERS)


def _vectors(count: int) -> Vectors:
    return unit(np.random.default_rng(3).normal(size=(count, DIMS)))


def test_best_rows_are_live_and_best_first() -> None:
    vectors = _vectors(50)
    live = np.arange(50) % 3 != 0
    found, scores, floor = best_rows(vectors, live, vectors[4], 10, COSINE)
    wanted = sorted((row for row in range(50) if live[row]), key=lambda row: -float(vectors[row] @ vectors[4]))[:10]
    assert found.tolist() == wanted
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert floor == scores[-1]


def test_fewer_live_rows_than_wanted_are_all_returned() -> None:
    vectors = _vectors(5)
    some = best_rows(vectors, np.array([True, False, False, True, False]), vectors[0], 9, COSINE)
    assert (some.rows.tolist(), some.floor) == ([0, 3], -np.inf)
    none = best_rows(vectors, np.zeros(5, bool), vectors[0], 9, COSINE)
    assert (none.rows.tolist(), none.floor) == ([], -np.inf)


def test_the_floor_is_the_last_row_looked_at_dead_or_not() -> None:
    base = _base(_vectors(100))
    nearest = base.search(_vectors(1)[0], 10, base.live)
    base.live[nearest.rows[5:]] = False
    again = base.search(_vectors(1)[0], 10, base.live)
    assert (again.rows.tolist(), again.floor) == (nearest.rows[:5].tolist(), nearest.floor)
    assert base.search(_vectors(1)[0], 100, base.live).floor == -np.inf


def test_the_graph_finds_what_exact_search_finds() -> None:
    vectors = _vectors(500)
    base = _base(vectors)
    found = exact = 0
    for query in _vectors(40):
        wanted = set(base.search_exactly(query, 10, base.live)[0].tolist())
        found += len(wanted & set(base.search(query, 10, base.live)[0].tolist()))
        exact += len(wanted)
    assert found / exact > 0.95


def test_a_base_without_rows_answers_nothing() -> None:
    base = _base(np.empty((0, DIMS), np.float32))
    assert base.search(_vectors(1)[0], 5, base.live)[0].tolist() == []
    assert base.search_exactly(_vectors(1)[0], 5, base.live)[0].tolist() == []
    assert base.dead_rows == 0


def test_a_saved_graph_loads_over_its_own_rows_only(tmp_path: Path) -> None:
    base, path = _base(_vectors(20)), tmp_path / "graph.hnsw"
    structures.build(base.rows.vectors, PARAMETERS, 1).save(path)
    loaded = Base(base.rows, structures.load(path, base.rows.vectors, PARAMETERS), PARAMETERS)
    assert (
        loaded.search(_vectors(1)[0], 3, loaded.live)[0].tolist()
        == base.search(_vectors(1)[0], 3, base.live)[0].tolist()
    )
    with pytest.raises(Damaged, match=r"graph\.hnsw: 20 vectors for 19 rows"):
        structures.load(path, _vectors(19), PARAMETERS)


def test_a_graph_cut_short_or_missing_is_refused_by_name(tmp_path: Path) -> None:
    base, path = _base(_vectors(20)), tmp_path / "graph.hnsw"
    structures.build(base.rows.vectors, PARAMETERS, 1).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(Damaged, match=r"graph\.hnsw: hnswlib refused it"):
        structures.load(path, base.rows.vectors, PARAMETERS)
    with pytest.raises(Damaged, match=r"gone\.hnsw: hnswlib refused it"):
        structures.load(tmp_path / "gone.hnsw", base.rows.vectors, PARAMETERS)
