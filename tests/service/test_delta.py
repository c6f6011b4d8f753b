"""The delta keeps rows in the order of writes, grows, and leaves killed rows out."""

from __future__ import annotations

import numpy as np

from service.index.delta import FIRST_CAPACITY, Delta
from tests.service.small_space import DIMS, record, unit


def test_rows_beyond_the_first_capacity_are_kept_and_found() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(FIRST_CAPACITY * 3, DIMS)))
    delta = Delta(DIMS)
    for first in range(0, len(vectors), 3):
        assert delta.add(record(f"s{first}", vectors[first : first + 3])) == range(first, first + 3)
    assert len(delta) == len(vectors)
    for row in (0, FIRST_CAPACITY - 1, FIRST_CAPACITY, len(vectors) - 1):
        assert delta.search(vectors[row], 1)[0].tolist() == [row]
        owner, ordinal = delta.owner(row)
        assert (owner.source_id, ordinal) == (f"s{row - row % 3}", row % 3)


def test_one_record_may_be_larger_than_twice_the_capacity() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(FIRST_CAPACITY * 5, DIMS)))
    delta = Delta(DIMS)
    delta.add(record("big", vectors))
    assert delta.search(vectors[-1], 1)[0].tolist() == [len(vectors) - 1]


def test_killed_rows_are_not_found_also_after_growth() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(FIRST_CAPACITY + 10, DIMS)))
    delta = Delta(DIMS)
    killed = delta.add(record("a", vectors[:4]))
    delta.kill(killed)
    delta.add(record("b", vectors[4:]))
    assert not set(delta.search(vectors[0], len(vectors))[0].tolist()) & set(killed)
    assert len(delta.search(vectors[0], len(vectors))[0]) == len(vectors) - 4
