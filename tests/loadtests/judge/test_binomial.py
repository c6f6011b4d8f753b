from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.binomial import above, at_least, at_most, most_allowed, runs_required

LIMITS = [(59, 0), (100, 1), (300, 8), (600, 20), (1000, 38), (2000, 83), (3000, 130), (6000, 271), (20000, 949)]


@pytest.mark.parametrize(("total", "slow"), LIMITS)
def test_most_slow_searches_that_still_show_p95(total: int, slow: int) -> None:
    """The one-sided 95 % limits for a share of 5 %."""
    assert most_allowed(total, 0.05, 0.05) == slow
    assert at_most(slow, total, 0.05) <= 0.05 < at_most(slow + 1, total, 0.05)


def test_too_few_searches_can_show_nothing() -> None:
    assert most_allowed(58, 0.05, 0.05) == -1
    assert not above(0, 0, 0.05, 0.05)


@pytest.mark.parametrize(("runs", "good"), [(1, 1), (3, 3), (5, 5), (8, 7), (10, 9)])
def test_runs_that_must_be_good(runs: int, good: int) -> None:
    assert runs_required(runs, 0.05) == good


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.01, 0.05, 0.5]))
def test_tails_are_exact(count: int, total: int, share: float) -> None:
    p = Fraction(share)
    exact = sum(comb(total, i) * p**i * (1 - p) ** (total - i) for i in range(min(count, total) + 1))
    assert at_most(count, total, share) == pytest.approx(float(exact), rel=1e-9)
    assert at_most(count, total, share) + at_least(count + 1, total, share) == pytest.approx(1)


@given(st.integers(1, 5000), st.data())
def test_no_count_is_both_below_and_above(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    assert count > most_allowed(total, 0.05, 0.05) or not above(count, total, 0.05, 0.05)
