"""A shard's index against a model that looks at everything, after any history of writes and generations."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator, Iterable

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.index import rows as rows_file
from service.index import search_plan, structures
from service.index.base import Base
from service.index.collection import CollectionIndex
from service.index.delta import Delta
from service.index.metric import COSINE, EUCLIDEAN, INNER_PRODUCT, Metric
from service.index.part import Nearest
from service.index.search_plan import Job
from service.storage.shards import Record
from service.wire.messages import Hit
from tests.service.small_space import DIMS, Vectors, recipe, record, unit

PARAMETERS = recipe().index
SOURCES = st.sampled_from([f"s{number}" for number in range(8)])


def graph_over(records: Iterable[Record], metric: Metric = COSINE) -> Base:
    rows = rows_file.from_records(records, DIMS)
    parameters = msgspec.structs.replace(PARAMETERS, metric=metric.name)
    return Base(rows, structures.build(rows.vectors, parameters, 1), parameters)


def rebuilt(live: dict[str, Record], delta_rows: int = 10_000, metric: Metric = COSINE) -> CollectionIndex:
    """Return the index of a generation that holds exactly these records."""
    return CollectionIndex(graph_over(live.values(), metric), DIMS, metric, delta_rows=delta_rows)


@types.coroutine
def pausing(job: Job) -> Generator[Job, list[Nearest], list[Nearest]]:
    """Hand a job to the caller of a search's `send`, and take its result from there."""
    return (yield job)


def plainly(vectors: Vectors, query: Vectors, metric: Metric) -> npt.NDArray[np.float64]:
    """Return scores by the metric's definition."""
    rows, asked = vectors.astype(np.float64), query.astype(np.float64)
    return -((rows - asked) ** 2).sum(axis=1) if metric is EUCLIDEAN else rows @ asked


def brute_force(live: dict[str, Record], query: Vectors, metric: Metric = COSINE) -> list[tuple[float, str]]:
    """Return every live document's best score, best first."""
    return sorted(((float(plainly(r.vectors, query, metric).max()), name) for name, r in live.items()), reverse=True)


class AnyHistory(RuleBasedStateMachine):
    """Upserts, updates with more or fewer chunks, deletions, rejections, generations; searches at any time."""

    metric = COSINE

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[str, Record] = {}
        self.index = CollectionIndex(None, DIMS, self.metric, delta_rows=12)
        self.sealing: tuple[Delta, list[Record], Base] | None = None
        self.asked: tuple[Coroutine[Job, list[Nearest], list[Hit]], list[Nearest], Vectors, int, bool] | None = None
        self.log_only = CollectionIndex(None, DIMS, self.metric)
        self.position = 0

    def _apply(self, written: Record) -> None:
        self.index.apply(written)
        self.log_only.apply(written)

    def _vectors(self, count: int, seed: int) -> Vectors:
        made = np.random.default_rng(seed).normal(0, 3, size=(count, DIMS)).astype(np.float32)
        return unit(made) if self.metric.normal else made

    @rule(source_id=SOURCES, chunks=st.integers(1, 12), seed=st.integers(0, 50))
    def upsert(self, source_id: str, chunks: int, seed: int) -> None:
        self.position += 1
        written = record(source_id, self._vectors(chunks, seed), position=self.position)
        self.live.pop(source_id, None)
        self.live[source_id] = written
        self._apply(written)

    @rule(source_id=SOURCES)
    def delete(self, source_id: str) -> None:
        self.position += 1
        self.live.pop(source_id, None)
        self._apply(record(source_id, np.empty((0, DIMS), np.float32), position=self.position))

    @rule(source_id=SOURCES)
    def reject(self, source_id: str) -> None:
        self.position += 1
        nothing = np.empty((0, DIMS), np.float32)
        self._apply(record(source_id, nothing, position=self.position, rejected="no known token"))

    @rule()
    def new_generation(self) -> None:
        self.index = rebuilt(self.live, 12, self.metric)
        self.sealing = self.asked = None

    @precondition(lambda self: self.sealing is None and self.index.frozen)
    @rule()
    def begin_to_seal(self) -> None:
        frozen = self.index.frozen[0]
        records = frozen.records()
        self.sealing = (frozen, records, graph_over(records, self.metric))

    @precondition(lambda self: self.sealing is not None)
    @rule()
    def seal(self) -> None:
        assert self.sealing is not None
        self.index.seal(*self.sealing)
        assert self.sealing[0] not in self.index.frozen
        self.sealing = None

    @rule(seed=st.integers(0, 60), k=st.integers(1, 12))
    def search_exactly(self, seed: int, k: int) -> None:
        query = self._vectors(1, seed)[0]
        hits = self.index.search(query, k, exact=True)
        wanted = brute_force(self.live, query, self.metric)[:k]
        assert [hit.score for hit in hits] == pytest.approx([score for score, _ in wanted], abs=2e-6, rel=2e-6)
        self._check_hits(query, [(hit.source_id, hit.text, hit.score) for hit in hits])

    @rule(seed=st.integers(0, 60), k=st.integers(1, 12))
    def search(self, seed: int, k: int) -> None:
        query = self._vectors(1, seed)[0]
        hits = self.index.search(query, k)
        assert len(hits) == min(k, len(self.live))
        self._check_hits(query, [(hit.source_id, hit.text, hit.score) for hit in hits])

    @precondition(lambda self: self.asked is None and self.live)
    @rule(seed=st.integers(0, 60), k=st.integers(1, 12), exact=st.booleans())
    def begin_to_search(self, seed: int, k: int, exact: bool) -> None:
        query = self._vectors(1, seed)[0]
        steps = self.index.search_with(pausing, query, k, exact=exact)
        self.asked = (steps, steps.send(None).run(), query, k, exact)

    @precondition(lambda self: self.asked is not None)
    @rule()
    def end_to_search(self) -> None:
        """The answer is of now, whatever was applied since the job ran."""
        assert self.asked is not None
        (steps, near, query, k, exact), self.asked = self.asked, None
        try:
            while True:
                near = steps.send(near).run()
        except StopIteration as done:
            hits = done.value
        assert len(hits) == min(k, len(self.live))
        if exact:
            wanted = brute_force(self.live, query, self.metric)[:k]
            assert [hit.score for hit in hits] == pytest.approx([score for score, _ in wanted], abs=2e-6, rel=2e-6)
        self._check_hits(query, [(hit.source_id, hit.text, hit.score) for hit in hits])

    def _check_hits(self, query: Vectors, hits: list[tuple[str, str, float]]) -> None:
        assert len({source_id for source_id, _, _ in hits}) == len(hits)
        assert [score for *_, score in hits] == sorted((score for *_, score in hits), reverse=True)
        for source_id, text, score in hits:
            held = self.live[source_id]
            (plain,) = plainly(held.vectors[held.chunks.index(text)].reshape(1, -1), query, self.metric)
            assert score == pytest.approx(float(plain), abs=2e-6, rel=2e-6)

    @invariant()
    def holds_exactly_the_live_set(self) -> None:
        assert self.index.documents == self.log_only.documents == len(self.live)
        assert self.index.rows == self.log_only.rows == sum(len(r.chunks) for r in self.live.values())
        assert self.index.digest_term == self.log_only.digest_term == rebuilt(self.live).digest_term
        for name in (f"s{number}" for number in range(8)):
            held, live = self.index.held(name), self.live.get(name)
            assert (held is None) == (live is None)
            if held is not None and live is not None:
                assert (held.position, held.item, held.content_hash) == (live.position, live.item, live.content_hash)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


class AnyHistoryByProduct(AnyHistory):
    """The same with vectors of any length and inner products."""

    metric = INNER_PRODUCT


class AnyHistoryByDistance(AnyHistory):
    """The same with Euclidean distances."""

    metric = EUCLIDEAN


TestAnyHistoryByProduct = AnyHistoryByProduct.TestCase
TestAnyHistoryByProduct.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestAnyHistoryByDistance = AnyHistoryByDistance.TestCase
TestAnyHistoryByDistance.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def _near(query: Vectors, count: int, closeness: float, seed: int) -> Vectors:
    noise = np.random.default_rng(seed).normal(size=(count, DIMS))
    return unit(query + (1 - closeness) * noise)


QUERY = unit(np.ones((1, DIMS)))[0]


@pytest.mark.parametrize("exact", [True, False])
def test_many_near_chunks_of_a_document_hide_no_other(exact: bool) -> None:
    live = {"crowd": record("crowd", _near(QUERY, 60, 0.99, 1)), "next": record("next", _near(QUERY, 1, 0.9, 2))}
    index = rebuilt(live)
    for number in range(5):
        index.apply(record(f"far {number}", _near(-QUERY, 1, 0.9, 10 + number)))
    assert [hit.source_id for hit in index.search(QUERY, 2, exact=exact)] == ["crowd", "next"]


@pytest.mark.parametrize("exact", [True, False])
def test_deleted_documents_nearest_to_a_query_hide_no_live_ones(exact: bool) -> None:
    live = {f"gone {n}": record(f"gone {n}", _near(QUERY, 1, 0.99, n)) for n in range(200)}
    live |= {f"kept {n}": record(f"kept {n}", _near(QUERY, 1, 0.8, 500 + n)) for n in range(10)}
    index = rebuilt(live)
    for number in range(200):
        index.apply(record(f"gone {number}", np.empty((0, DIMS), np.float32)))
    for number in range(20):
        index.apply(record(f"far {number}", _near(-QUERY, 1, 0.9, 900 + number)))
    hits = index.search(QUERY, 10, exact=exact)
    assert {hit.source_id for hit in hits} == {f"kept {n}" for n in range(10)}


def test_more_hits_than_documents_gives_all_documents() -> None:
    index = rebuilt({"a": record("a", _near(QUERY, 3, 0.9, 1))})
    assert [hit.source_id for hit in index.search(QUERY, 1_000)] == ["a"]
    assert CollectionIndex(None, DIMS, COSINE).search(QUERY, 10) == []


def test_recall_holds_with_clusters_and_many_replaced_rows() -> None:
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(40, DIMS))
    vectors = unit(centres[rng.integers(0, 40, 2_000)] + 0.3 * rng.normal(size=(2_000, DIMS)))
    live = {f"s{n}": record(f"s{n}", vectors[2 * n : 2 * n + 2]) for n in range(1_000)}
    index = rebuilt(live)
    for n in range(0, 1_000, 3):
        index.apply(record(f"s{n}", vectors[2 * n : 2 * n + 1], position=2))
    found = wanted = 0
    for query in unit(centres[rng.integers(0, 40, 60)] + 0.3 * rng.normal(size=(60, DIMS))):
        exact = {hit.source_id for hit in index.search(query, 10, exact=True)}
        found += len(exact & {hit.source_id for hit in index.search(query, 10)})
        wanted += len(exact)
    assert found / wanted > 0.95


def test_changed_rows_are_the_delta_and_the_dead_rows() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(6, DIMS)))
    index = rebuilt({name: record(name, vectors[i : i + 2], position=1) for i, name in enumerate("abc")})
    assert index.changed_rows == 0
    index.apply(record("a", vectors[:0], position=2))
    assert index.changed_rows == 2
    index.apply(record("d", vectors[:3], position=3))
    assert index.changed_rows == 5


@pytest.mark.parametrize(("kind", "heavy"), [("flat", True), ("hnsw", False)])
def test_looking_at_every_row_is_heavy_for_exact_and_flat(
    monkeypatch: pytest.MonkeyPatch, kind: structures.Kind, heavy: bool
) -> None:
    monkeypatch.setattr(search_plan, "FEW_ROWS", 100)
    vectors = unit(np.random.default_rng(1).normal(size=(120, DIMS)))
    rows = rows_file.from_records([record(f"s{n}", vectors[n : n + 1]) for n in range(120)], DIMS)
    parameters = msgspec.structs.replace(recipe().index, type=kind)
    index = CollectionIndex(Base(rows, structures.build(rows.vectors, parameters, 1), parameters), DIMS, COSINE)
    jobs = [index.search_with(pausing, vectors[0], 3, exact=exact).send(None) for exact in (False, True)]
    assert [job.heavy for job in jobs] == [heavy, True]
