"""How long recovery took: pure arithmetic over the observer's canaries and a few marks.

All instants are monotonic seconds. The recovery time is T5 - T0, known to one canary interval:

    T0  due instant of the first canary that failed after the injection (none: nothing was measured)
    T1  a replacement instance of the lost shard was launched             T1-T0 detect
    T3  the first replica of the shard is ready, its data is in place     T3-T1 restore
    T4  the first complete and right answer                               T4-T3 validate
    T5  start of the first window in which the service is good again      T5-T4 traffic
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from infra import slo

SLOW_SHARE = 0.05
MIN_COVERAGE = 0.95

CanaryKind = Literal["search", "write"]
CanaryResult = Literal["good", "partial", "bad", "pending"]


@dataclass(frozen=True)
class Canary:
    """One canary. `response_seconds` counts from the due instant, None when nothing came back."""

    due: float
    kind: CanaryKind
    result: CanaryResult
    response_seconds: float | None


@dataclass(frozen=True)
class Yardstick:
    """When a window counts as good: long enough, fully observed, few errors, few slow, all shards."""

    window_seconds: float
    interval_seconds: float
    slow_seconds: float = slo.target("retrieval_p95_ms") / 1000
    error_share: float = slo.target("error_rate_percent") / 100
    slow_share: float = SLOW_SHARE


@dataclass(frozen=True)
class Marks:
    """What was seen from outside while the drill ran; None was never seen."""

    injected: float
    launched: float | None = None
    ready: float | None = None
    alarm: float | None = None


@dataclass(frozen=True)
class Phases:
    """Parts of the recovery time; they add up to it. None where a mark is missing."""

    detect_seconds: float | None
    restore_seconds: float | None
    validate_seconds: float | None
    traffic_seconds: float | None
    decide: str = "0 (automatic, not measured)"


@dataclass(frozen=True)
class Recovery:
    """T0 is None when no canary failed; T5 is None when the service did not get well while watched."""

    injected: float
    t0: float | None
    t1: float | None
    t3: float | None
    t4: float | None
    t5: float | None
    rto_seconds: float | None
    from_injection_seconds: float | None
    uncertainty_seconds: float
    phases: Phases
    alarm_after_seconds: float | None


@dataclass(frozen=True)
class Window:
    """Counts of one window and why it is not good; `reason` is empty when it is."""

    start: float
    searches: int
    writes: int
    errors: int
    partial: int
    slow: int
    reason: str


def look(canaries: Sequence[Canary], start: float, yardstick: Yardstick) -> Window:
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


def _is_slow(canary: Canary, yardstick: Yardstick) -> bool:
    """What failed or has not come back is slow, too."""
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


def measure(canaries: Sequence[Canary], marks: Marks, yardstick: Yardstick) -> Recovery:
    """Split the recovery that `canaries` (in the order of their due instants) saw."""
    t0 = next((c.due for c in canaries if c.due >= marks.injected and c.result in ("bad", "partial")), None)
    good = None if t0 is None else first_good_window(canaries, t0, yardstick)
    t5 = None if good is None else good.start
    t1, t3, t4 = _between(canaries, marks, t0, t5)
    return Recovery(
        injected=marks.injected,
        t0=t0,
        t1=t1,
        t3=t3,
        t4=t4,
        t5=t5,
        rto_seconds=_gap(t0, t5),
        from_injection_seconds=_gap(marks.injected, t5),
        uncertainty_seconds=yardstick.interval_seconds,
        phases=Phases(_gap(t0, t1), _gap(t1, t3), _gap(t3, t4), _gap(t4, t5)),
        alarm_after_seconds=_gap(marks.injected, marks.alarm),
    )


def first_good_window(canaries: Sequence[Canary], after: float, yardstick: Yardstick) -> Window | None:
    """The first good window that begins with a good search later than `after`, if there is one."""
    for canary in canaries:
        if canary.due > after and canary.kind == "search" and canary.result == "good":
            window = look(canaries, canary.due, yardstick)
            if not window.reason:
                return window
    return None


def last_window(canaries: Sequence[Canary], yardstick: Yardstick) -> Window:
    """The window that ends with the last canary; all of them, where they don't fill one."""
    if not canaries:
        return look(canaries, 0.0, yardstick)
    # It begins half-way between two canaries, where no rounding adds or loses one.
    start = canaries[-1].due - yardstick.window_seconds + yardstick.interval_seconds / 2
    return look(canaries, max(canaries[0].due, start), yardstick)


def _between(
    canaries: Sequence[Canary], marks: Marks, t0: float | None, t5: float | None
) -> tuple[float | None, float | None, float | None]:
    """T1, T3 and T4, pushed into [T0, T5] and into their order.

    Marks are polled: one may be seen a moment after the canaries already felt its effect.
    """
    if t0 is None:
        return None, None, None
    end = math.inf if t5 is None else t5
    t1 = _clamp(marks.launched, t0, end)
    t3 = _clamp(marks.ready, t0 if t1 is None else t1, end)
    if t3 is None:
        return t1, None, None
    right = (c.due for c in canaries if c.kind == "search" and c.result == "good" and c.due >= t3)
    return t1, t3, _clamp(next(right, t5), t3, end)


def _clamp(value: float | None, low: float, high: float) -> float | None:
    return None if value is None else min(max(value, low), high)


def _gap(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
