"""A switch in steps: the weights move, the alarms are watched, and a ringing alarm takes the weights back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vectorfleet.verdicts import Verdict
from vectorfleet.waiting import until

LOOK_SECONDS = 1.0
WHOLE = 100  # percent


class Weights(Protocol):
    """The weights of the front listener."""

    def move(self, wanted: Mapping[str, int]) -> object:
        """Set the weights of both slots with one call."""


@dataclass(frozen=True)
class Step:
    """One step of a switch: the share of requests in percent, and how long the alarms stayed silent."""

    percent: int
    watched_seconds: float
    ringing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Switch:
    """A finished switch. A FAIL has moved the weights back; `back_seconds` says how long that took."""

    verdict: Verdict
    steps: tuple[Step, ...]
    back_seconds: float | None = None


def switch(
    weights: Weights,
    before: Mapping[str, int],
    slots: tuple[str, str],
    percents: Sequence[int],
    watch_seconds: float,
    ringing: Callable[[], Sequence[str]],
    say: Callable[[str], None],
) -> Switch:
    """Move the weights from slot `slots[0]` to `slots[1]` by `percents`, and watch the alarms after each step.

    The weights `before` come back when an alarm rings, and when anything else ends the switch: an error, or Ctrl-C.
    """
    source, target = slots
    steps: list[Step] = []
    try:
        for percent in percents:
            weights.move({source: WHOLE - percent, target: percent})
            say(f"{percent} % of the requests go to {target}")
            step = _watched(percent, watch_seconds, ringing)
            steps.append(step)
            if step.ringing:
                seconds = _back(weights, before)
                say(f"{', '.join(step.ringing)} rings: the weights are back as they were")
                return Switch(Verdict.FAIL, tuple(steps), seconds)
    except BaseException:
        _back(weights, before)
        raise
    return Switch(Verdict.PASS, tuple(steps))


def _watched(percent: int, seconds: float, ringing: Callable[[], Sequence[str]]) -> Step:
    began = time.monotonic()
    rings = until(ringing, seconds, LOOK_SECONDS)
    return Step(percent, round(time.monotonic() - began, 1), tuple(rings))


def _back(weights: Weights, before: Mapping[str, int]) -> float:
    began = time.monotonic()
    weights.move(before)
    return round(time.monotonic() - began, 3)
