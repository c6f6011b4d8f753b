"""The recall of live searches: the sampled searches, the pauses, and the moment that exact search answers for."""

from __future__ import annotations

import asyncio

import numpy as np

from service.index import rows as rows_file
from service.index import structures
from service.index.base import Base
from service.index.collection import CollectionIndex
from service.index.filters import parse
from service.index.metric import COSINE
from service.node.recall import BUSY_SHARE, KEPT_SAMPLES, LEAST_PAUSE_SECONDS, LiveRecall, recall_of
from service.wire.messages import Hit
from tests.service.small_space import DIMS, recipe, record, unit


def hits(*scores: float) -> list[Hit]:
    return [Hit(f"s{number}", "", "", score) for number, score in enumerate(scores)]


def test_recall_is_the_share_of_exact_answers_and_ties_count() -> None:
    assert recall_of(hits(0.9, 0.8), [0.9, 0.8], COSINE) == 1.0
    assert recall_of(hits(0.9), [0.9, 0.8], COSINE) == 0.5
    assert recall_of(hits(0.9, 0.8, 0.8), [0.9, 0.8], COSINE) == 1.0
    assert recall_of(hits(), [0.5], COSINE) == 0.0
    assert recall_of([], [], COSINE) == 1.0


def test_a_sample_is_followed_by_a_pause_a_hundred_times_as_long() -> None:
    now = [10.0]
    live = LiveRecall(lambda: now[0])

    def due() -> bool:
        return live.due

    assert [live.mean] == [None]

    def slowly() -> list[float]:
        assert not due()
        now[0] += 0.5
        return [0.9, 0.8]

    async def run() -> None:
        assert due()
        await live.sample(hits(0.9, 0.1), slowly, COSINE)

    asyncio.run(run())
    assert live.mean == 0.5
    now[0] += 0.5 / BUSY_SHARE - 0.01
    assert not due()
    now[0] += 0.02
    assert due()
    asyncio.run(live.sample(hits(0.9), lambda: [0.9], COSINE))
    now[0] += LEAST_PAUSE_SECONDS - 0.01
    assert not due()


def test_old_samples_are_forgotten() -> None:
    live = LiveRecall()
    for _ in range(KEPT_SAMPLES):
        live.add(0.0)
    for _ in range(KEPT_SAMPLES):
        live.add(1.0)
    assert live.mean == 1.0


def test_exact_scores_are_of_the_moment_despite_later_writes() -> None:
    random = np.random.default_rng(2)
    records = [record(f"s{n}", unit(random.normal(size=(3, DIMS)))) for n in range(60)]
    rows = rows_file.from_records(records[:40], DIMS)
    index = CollectionIndex(
        Base(rows, structures.build(rows.vectors, recipe().index, 1), recipe().index), DIMS, COSINE, delta_rows=15
    )
    for one in records[40:]:
        index.apply(one)
    query = unit(random.normal(size=(1, DIMS)))[0]
    exact = [hit.score for hit in index.search(query, 10, exact=True)]
    later, filtered = index.exact_later(query, 10), index.exact_later(query, 10, parse({"a": 1}))
    for one in records:
        index.apply(record(one.source_id, unit(random.normal(size=(1, DIMS)))))
    for n in range(400):
        index.apply(record(f"more{n}", query.reshape(1, -1)))
    np.testing.assert_allclose(later(), exact, atol=1e-6)
    assert filtered() == []
    np.testing.assert_allclose(index.exact_later(query, 3)(), [1.0] * 3, atol=1e-6)
