"""Windows of canaries that are good or say why not.

Instants are monotonic seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from infra.facts import slo
from runbooks.observe.ledger import Operation

SLOW_SHARE = 0.05
MIN_COVERAGE = 0.95


@dataclass(frozen=True)
class Yardstick:
    """Bounds of a good window: its length, and the shares of errors and slow searches that it may have."""

    window_seconds: float
    interval_seconds: float
    slow_seconds: float = slo.target("retrieval_p95_ms") / 1000
    error_share: float = slo.target("error_rate_percent") / 100
    slow_share: float = SLOW_SHARE


@dataclass(frozen=True)
class Window:
    """Counts of one window. `reason` says why it is not good; it is empty when the window is good."""

    start: float
    searches: int
    writes: int
    errors: int
    partial: int
    slow: int
    reason: str


def judge_window(canaries: Sequence[Operation], start: float, yardstick: Yardstick) -> Window:
    """Judge the window that begins at `start`. `canaries` are in the order of their due instants."""
    first = bisect_left(canaries, start, key=lambda canary: canary.due)
    after = bisect_left(canaries, start + yardstick.window_seconds, key=lambda canary: canary.due)
    inside = canaries[first:after]
    over = bool(canaries) and canaries[-1].due >= start + yardstick.window_seconds - 1.5 * yardstick.interval_seconds
    searches = [canary for canary in inside if canary.kind == "search"]
    errors = sum(canary.result != "good" for canary in inside)
    partial = sum(canary.result == "partial" for canary in inside)
    slow = sum(_is_slow(canary, yardstick) for canary in searches)
    writes = len(inside) - len(searches)
    reason = _reason(len(searches), writes, errors, partial, slow, yardstick) if over else "the window is not over yet"
    return Window(start, len(searches), writes, errors, partial, slow, reason)


def _is_slow(canary: Operation, yardstick: Yardstick) -> bool:
    """Return True also for a canary that failed or is still in flight."""
    seconds = canary.response_seconds
    return canary.result != "good" or seconds is None or seconds > yardstick.slow_seconds


def _reason(searches: int, writes: int, errors: int, partial: int, slow: int, yardstick: Yardstick) -> str:
    planned = round(yardstick.window_seconds / yardstick.interval_seconds)
    if min(searches, writes) < MIN_COVERAGE * planned:
        return f"{searches} searches and {writes} writes observed, {planned} of each planned"
    if partial:
        return f"{partial} answers lacked a shard"
    if errors >= yardstick.error_share * (searches + writes):
        return f"{errors} errors in {searches + writes} canaries"
    if slow >= yardstick.slow_share * searches:
        return f"{slow} of {searches} searches slower than {yardstick.slow_seconds * 1000:.0f} ms"
    return ""


def first_good_window(canaries: Sequence[Operation], after: float, yardstick: Yardstick) -> Window | None:
    """Return the first good window that begins with a good search later than `after`, or None."""
    for canary in canaries:
        if canary.due > after and canary.kind == "search" and canary.result == "good":
            window = judge_window(canaries, canary.due, yardstick)
            if not window.reason:
                return window
    return None


def last_window(canaries: Sequence[Operation], yardstick: Yardstick) -> Window:
    """Return the window that ends with the last canary, shorter if there are too few."""
    if not canaries:
        return judge_window(canaries, 0.0, yardstick)
    # It begins half-way between two canaries, where no rounding adds or loses one.
    start = canaries[-1].due - yardstick.window_seconds + yardstick.interval_seconds / 2
    return judge_window(canaries, max(canaries[0].due, start), yardstick)


def healthy_streak(canaries: Sequence[Operation]) -> int:
    """Count the newest canaries that are good without a gap, ignoring those still in flight at the end."""
    streak = 0
    for canary in reversed(canaries):
        if canary.result == "pending" and not streak:
            continue
        if canary.result != "good":
            return streak
        streak += 1
    return streak
