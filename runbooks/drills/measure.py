"""The recovery time, computed from the observer's canaries and a few marks.

All instants are monotonic seconds. The recovery time is T5 - T0, known to one canary interval:

    T0  due instant of the first canary that failed after the injection (none: nothing was measured)
    T1  a replacement instance of the lost shard was launched             T1-T0 detect
    T3  the first replica of the shard is ready, its data is in place     T3-T1 restore
    T4  the first complete and right answer                               T4-T3 validate
    T5  start of the first window in which the service is good again      T5-T4 traffic
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.observe.ledger import Operation
from runbooks.observe.windows import Yardstick, first_good_window


@dataclass(frozen=True)
class Marks:
    """Instants seen from outside during the drill; None was never seen."""

    injected: float
    launched: float | None = None
    ready: float | None = None
    alarm: float | None = None


@dataclass(frozen=True)
class Phases:
    """Parts of the recovery time, which add up to it. A part is None if a mark is missing."""

    detect_seconds: float | None
    restore_seconds: float | None
    validate_seconds: float | None
    traffic_seconds: float | None
    decide: str = "0 (automatic, not measured)"


@dataclass(frozen=True)
class Recovery:
    """A recovery. T0 is None if no canary failed; T5 is None if the service did not recover while it was observed."""

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


def measure(canaries: Sequence[Operation], marks: Marks, yardstick: Yardstick) -> Recovery:
    """Return the recovery with its phases. `canaries` are in the order of their due instants."""
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


def _between(
    canaries: Sequence[Operation], marks: Marks, t0: float | None, t5: float | None
) -> tuple[float | None, float | None, float | None]:
    """Return T1, T3 and T4, in order and within [T0, T5].

    Marks are polled, so one may be seen a moment after the canaries felt its effect.
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
