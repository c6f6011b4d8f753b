"""Exact binomial tails, which say how a count of bad events bounds the true share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator


def at_most(count: int, total: int, share: float) -> float:
    """Return P(X <= count) for X ~ Bin(total, share)."""
    return _tail(range(min(count, total), -1, -1), total, share)


def at_least(count: int, total: int, share: float) -> float:
    """Return P(X >= count) for X ~ Bin(total, share)."""
    return _tail(range(max(count, 0), total + 1), total, share)


def above(count: int, total: int, share: float, alpha: float) -> bool:
    """Return whether ``count`` of ``total`` shows, with confidence 1 - alpha, a true share above ``share``."""
    return total > 0 and at_least(count, total, share) <= alpha


def most_allowed(total: int, share: float, alpha: float) -> int:
    """Return the largest count that shows a share below ``share``; -1 if ``total`` is too small for any."""
    cumulated = 0.0
    for count, term in enumerate(_terms(range(0, total + 1), total, share)):
        cumulated += term
        if cumulated > alpha:
            return count - 1
    return total


def least_share(count: int, total: int, alpha: float) -> float:
    """Return the lower bound, with confidence 1 - alpha, of the share behind ``count`` of ``total``."""
    return _boundary(lambda share: at_least(count, total, share) <= alpha) if count > 0 else 0.0


def most_share(count: int, total: int, alpha: float) -> float:
    """Return the upper bound, with confidence 1 - alpha, of the share behind ``count`` of ``total``."""
    return _boundary(lambda share: at_most(count, total, share) > alpha) if count < total else 1.0


def runs_required(runs: int, alpha: float) -> int:
    """Return the good runs that refute "half of all runs are bad" (sign test).

    5 runs need 5 (0.5^5 = 3.1 %), 10 need 9 (1.07 %). If even all runs cannot refute it, all must be good.
    """
    for good in range(runs, 0, -1):
        if at_least(good, runs, 0.5) > alpha:
            return min(good + 1, runs)
    return runs


def _boundary(lies_above: Callable[[float], bool]) -> float:
    """Return the share up to which ``lies_above`` is true."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if lies_above(middle) else (low, middle)
    return low


def _tail(counts: range, total: int, share: float) -> float:
    """Return the sum of the terms of ``counts``; past the mode it ends with the first term that changes nothing."""
    found = 0.0
    for count, term in zip(counts, _terms(counts, total, share), strict=True):
        found += term
        if term <= found * 1e-17 and (count - total * share) * counts.step > 0:
            break
    return min(1.0, found)


def _terms(counts: range, total: int, share: float) -> Iterator[float]:
    log_share, log_rest = math.log(share), math.log1p(-share)
    log_total = math.lgamma(total + 1)
    for count in counts:
        ways = log_total - math.lgamma(count + 1) - math.lgamma(total - count + 1)
        yield math.exp(ways + count * log_share + (total - count) * log_rest)
