"""The three metrics: scores by their definition, structures that find the nearest rows, and measured recall."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.index import bench, part, structures
from service.index.bench import clustered
from service.index.flat import Flat
from service.index.metric import COSINE, EUCLIDEAN, INNER_PRODUCT, METRICS, Metric, Name
from service.index.part import Vectors
from service.node.recall import recall_of
from service.storage.builds import IndexParameters
from service.wire.messages import Hit

DIMS = 32
ROWS = 2_000
RANDOM = np.random.default_rng(7)
# Clusters whose rows have lengths from a half to two.
EVERYTHING = np.asarray(clustered(ROWS + 50, DIMS) * RANDOM.uniform(0.5, 2, (ROWS + 50, 1)), np.float32)


def plainly(metric: Metric, vectors: Vectors, vector: Vectors) -> npt.NDArray[np.float64]:
    rows, asked = vectors.astype(np.float64), vector.astype(np.float64)
    return -((rows - asked) ** 2).sum(axis=1) if metric is EUCLIDEAN else rows @ asked


def prepared(metric: Metric, vectors: Vectors) -> Vectors:
    return np.stack([metric.prepared(vector) for vector in vectors])


@given(st.sampled_from(list(METRICS.values())), st.integers(1, 9_000), st.integers(0, 100))
def test_scores_are_those_of_the_definition(metric: Metric, rows: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    np.testing.assert_allclose(
        metric.scores(vectors, vectors[-1]), plainly(metric, vectors, vectors[-1]), rtol=1e-5, atol=1e-5
    )


def test_small_distances_are_not_lost_to_rounding() -> None:
    far = np.full((1, 8), 1000.0, np.float32)
    near = far.copy()
    near[0, 0] += 0.125
    assert EUCLIDEAN.scores(near, far[0]).tolist() == [-0.015625]
    assert EUCLIDEAN.scores(far, far[0]).tolist() == [0.0]


def test_only_cosine_takes_the_length_away() -> None:
    given = np.asarray([3.0, 4.0], np.float32)
    assert COSINE.prepared(given).tolist() == pytest.approx([0.6, 0.8])
    assert INNER_PRODUCT.prepared(given).tolist() == EUCLIDEAN.prepared(given).tolist() == [3.0, 4.0]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("type_", ["flat", "hnsw", "ivf", "pq"])
def test_each_type_finds_what_is_near_by_each_metric(type_: str, name: Name, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "TRAINED_ROWS", 100)
    metric = METRICS[name]
    vectors, queries = prepared(metric, EVERYTHING[:ROWS]), prepared(metric, EVERYTHING[ROWS:])
    given = {"type": type_, "metric": name, "m": 16, "ef_construction": 200, "ef_search": 200, "probes": 40}
    index = structures.build(vectors, msgspec.convert(given, IndexParameters), 1)
    exact, found = Flat(vectors, metric), 0
    for query in queries:
        rows, scores = index.search(query, 10)
        np.testing.assert_allclose(scores, plainly(metric, vectors[rows], query), rtol=1e-4, atol=1e-5)
        assert (np.diff(scores) <= 1e-5).all()
        found += len(np.intersect1d(rows, exact.search(query, 10).rows))
    assert found / (10 * len(queries)) >= (1.0 if type_ == "flat" else 0.85)


def test_codes_alone_have_scores_of_the_metric_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "TRAINED_ROWS", 100)
    given = {"type": "pq", "metric": "l2", "m": 16, "ef_construction": 200, "ef_search": 100, "rescored": 0}
    index = structures.build(EVERYTHING[:ROWS], msgspec.convert(given, IndexParameters), 1)
    _, scores = index.search(EVERYTHING[0], 10)
    assert scores.max() <= 0
    assert (np.diff(scores) <= 0).all()


def test_the_rounding_allowed_is_relative_to_the_score() -> None:
    hits = [Hit("a", "", "", -1e-9), Hit("b", "", "", -5e-9)]
    assert recall_of(hits, [-1e-9, -2e-9], EUCLIDEAN) == 0.5
    assert recall_of([Hit("a", "", "", 99_999.9)], [100_000.0], INNER_PRODUCT) == 1.0
    assert recall_of([Hit("a", "", "", 1e-6)], [1e-6 + 1e-7], COSINE) == 1.0


@pytest.mark.parametrize(("name", "scaled"), [("cosine", True), ("ip", False), ("l2", False)])
def test_the_benchmark_keeps_lengths_if_the_metric_needs_them(name: Name, scaled: bool, tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    np.save(path, EVERYTHING)
    vectors, _ = bench.split(bench.BenchSetup(path, 50, 10, 1, 0.1, 1, name))
    assert bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)) is scaled


@given(st.sampled_from(list(METRICS.values())), st.integers(1, 70), st.integers(1, 60), st.integers(1, 5))
def test_several_queries_are_answered_as_one_by_one(metric: Metric, rows: int, count: int, questions: int) -> None:
    made = np.random.default_rng(rows).normal(size=(rows + questions, 6)).astype(np.float32)
    vectors, asked = prepared(metric, made[:rows]), prepared(metric, made[rows:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, "SCANNED_ROWS", 16)
        together = part.best_rows_each(vectors, asked, count, metric)
    for question, several in zip(asked, together, strict=True):
        alone = part.best_rows(vectors, np.ones(rows, bool), question, count, metric)
        assert several.rows.tolist() == alone.rows.tolist()
        np.testing.assert_allclose(several.scores, alone.scores, rtol=1e-5, atol=1e-6)
        assert several.floor == pytest.approx(alone.floor, abs=1e-6)
