from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loadtests.run.schedule import Due, poisson, share_of, steady


def offsets(rate: float, seconds: float, seed: int) -> list[float]:
    return [due.offset_seconds for due, _ in poisson(rate, seconds, seed)]


@given(st.integers(0, 2**32), st.floats(1, 200), st.floats(1, 60))
def test_count_is_poisson(seed: int, rate: float, seconds: float) -> None:
    """Within six standard deviations, which no seed of a test run should leave."""
    assert abs(len(offsets(rate, seconds, seed)) - rate * seconds) <= 6 * math.sqrt(rate * seconds) + 6


def test_gaps_are_exponential() -> None:
    gaps = [later - earlier for earlier, later in pairwise(offsets(100, 200, 1))]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert abs(mean * 100 - 1) < 0.03
    assert abs(spread / mean - 1) < 0.03
    assert abs(sum(gap > mean for gap in gaps) / len(gaps) - math.exp(-1)) < 0.02


@given(st.integers(0, 2**32))
def test_seed_fixes_everything(seed: int) -> None:
    assert list(poisson(30, 5, seed)) == list(poisson(30, 5, seed))
    assert offsets(30, 5, seed) != offsets(30, 5, seed + 1)


def test_longer_test_begins_like_a_shorter_one() -> None:
    short = offsets(40, 5, 7)
    assert offsets(40, 50, 7)[: len(short)] == short


@given(st.integers(0, 2**32), st.integers(1, 7))
def test_shares_are_exactly_the_whole(seed: int, shares: int) -> None:
    whole = [due for due, _ in poisson(50, 4, seed)]
    parts = [list(share_of(poisson(50, 4, seed), share, shares)) for share in range(shares)]
    assert sorted((due for part in parts for due in part), key=lambda due: due.number) == whole


def test_shares_are_even() -> None:
    parts = [len(list(share_of(poisson(100, 100, 5), share, 4))) for share in range(4)]
    assert all(abs(part - 2500) < 6 * math.sqrt(2500) for part in parts)


def test_streams_of_one_seed_differ() -> None:
    assert list(poisson(50, 4, 1, "search")) != list(poisson(50, 4, 1, "null-0"))


def test_no_rate_no_arrivals() -> None:
    assert list(poisson(0, 10, 1)) == []
    assert list(steady(0, 10)) == []


def test_steady_arrivals_keep_their_distance() -> None:
    assert list(steady(2, 2)) == [Due(0, 0.5, 0.0), Due(1, 1.0, 0.0), Due(2, 1.5, 0.0), Due(3, 2.0, 0.0)]
