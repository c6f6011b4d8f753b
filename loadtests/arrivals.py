"""Open arrivals: when searches are due, drawn once from a seed, whatever the service does.

A schedule is a Poisson process: gaps are exponential and independent. It depends on seed, rate and length
alone, so it can be drawn again from the evidence long after the run. Shares of several workers are taken by
an independent draw per arrival ("thinning"): each share is again a Poisson process of ``rate / shares``, the
shares never overlap, and together they are exactly the schedule that one worker would offer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loadtests.recall import Ranking

Outcome = Literal["answered", "failed", "timeout", "unsent", "raised"]


@dataclass(frozen=True)
class Due:
    """One arrival as planned: its number, its instant in seconds after the start, and a draw in [0, 1)."""

    number: int
    offset_seconds: float
    draw: float


@dataclass(frozen=True)
class Arrival:
    """What became of one planned search.

    ``lag_ms`` from the intended instant to the first byte sent, ``response_ms`` from the intended instant to
    the end, ``service_ms`` from sending to the end; None where there is no such instant. During ``stalled_ms`` of
    that the generator itself stood still. A search that ``raised`` met an error of the generator itself, so it says
    nothing about the service. ``reason`` says why there is no proper answer. A ``short`` answer has fewer hits than it
    must have. ``ranking`` is None where the truth isn't known; evidence of older versions has a ``recall`` instead.
    """

    number: int
    offset_seconds: float
    query: int
    outcome: Outcome
    status: int = 0
    lag_ms: float | None = None
    response_ms: float | None = None
    service_ms: float | None = None
    recall: float | None = None
    partial: bool = False
    short: bool = False
    ranking: Ranking | None = None
    answered_at: float | None = None
    stalled_ms: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Probe:
    """One request to the null endpoint; ``response_ms`` from the intended instant, None when unanswered."""

    number: int
    offset_seconds: float
    response_ms: float | None


def poisson(rate: float, seconds: float, seed: int, stream: str = "search") -> Iterator[tuple[Due, float]]:
    """Arrivals at ``rate`` per second during ``seconds``, each with the draw that gives it to a share.

    Streams with different names are independent though their seed is the same.
    """
    source = random.Random(f"{stream}/{seed}")
    offset_seconds = 0.0
    number = 0
    while rate > 0:
        offset_seconds -= math.log1p(-source.random()) / rate
        if offset_seconds >= seconds:
            return
        yield Due(number, offset_seconds, source.random()), source.random()
        number += 1


def share_of(arrivals: Iterator[tuple[Due, float]], share: int, shares: int) -> Iterator[Due]:
    """The arrivals that worker ``share`` of ``shares`` offers."""
    return (due for due, lot in arrivals if int(lot * shares) == share)


def steady(rate: float, seconds: float) -> Iterator[Due]:
    """Evenly spaced arrivals, for what only has to go on and is not measured."""
    for number in range(math.floor(rate * seconds)):
        yield Due(number, (number + 1) / rate, 0.0)
