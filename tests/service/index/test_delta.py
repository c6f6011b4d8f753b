"""The delta keeps rows in the order of writes, grows, and leaves killed rows out."""

from __future__ import annotations

import numpy as np

from service.index.delta import FIRST_CAPACITY, Delta
from service.index.metric import COSINE
from tests.service.small_space import DIMS, record, unit


def test_rows_beyond_the_first_capacity_are_kept_and_found() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(FIRST_CAPACITY * 3, DIMS)))
    delta = Delta(DIMS, COSINE)
    for first in range(0, len(vectors), 3):
        assert delta.add(record(f"s{first}", vectors[first : first + 3])) == range(first, first + 3)
    assert len(delta) == len(vectors)
    for row in (0, FIRST_CAPACITY - 1, FIRST_CAPACITY, len(vectors) - 1):
        assert delta.search(vectors[row], 1, delta.matching(None))[0].tolist() == [row]
        passage = delta.passage(row)
        assert (delta.source_of(row), passage.text) == (f"s{row - row % 3}", f"s{row - row % 3} 1.0 chunk {row % 3}")


def test_one_record_may_be_larger_than_twice_the_capacity() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(FIRST_CAPACITY * 5, DIMS)))
    delta = Delta(DIMS, COSINE)
    delta.add(record("big", vectors))
    assert delta.search(vectors[-1], 1, delta.matching(None))[0].tolist() == [len(vectors) - 1]


def test_killed_rows_are_not_found_also_after_growth() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(FIRST_CAPACITY + 10, DIMS)))
    delta = Delta(DIMS, COSINE)
    killed = delta.add(record("a", vectors[:4]))
    delta.kill(killed)
    delta.add(record("b", vectors[4:]))
    assert not set(delta.search(vectors[0], len(vectors), delta.matching(None))[0].tolist()) & set(killed)
    assert len(delta.search(vectors[0], len(vectors), delta.matching(None))[0]) == len(vectors) - 4


def test_records_are_the_live_ones_in_order_of_writing() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(9, DIMS)))
    delta = Delta(DIMS, COSINE)
    rows = {name: delta.add(record(name, vectors[3 * i : 3 * i + 3])) for i, name in enumerate("abc")}
    delta.kill(rows["b"])
    assert [one.source_id for one in delta.records()] == ["a", "c"]
    assert delta.vectors_of(rows["c"]).tolist() == vectors[6:].tolist()
