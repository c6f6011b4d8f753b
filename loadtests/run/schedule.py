"""The schedule of a run: the instants at which searches are due, drawn once from a seed.

The searches are a Poisson process: gaps are exponential and independent. The schedule depends on seed, rate and length
alone, so it can be drawn again from the evidence long after the run. An independent draw for each search gives it to a
worker ("thinning"). So each share is a Poisson process of ``rate / shares``, and the shares together are the schedule
that one worker would offer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Due:
    """A planned request: its number, its instant in seconds after the start, and a draw in [0, 1)."""

    number: int
    offset_seconds: float
    draw: float


def poisson(rate: float, seconds: float, seed: int, stream: str = "search") -> Iterator[tuple[Due, float]]:
    """Yield requests at ``rate`` per second during ``seconds``, each with the draw that gives it to a share.

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


def share_of(planned: Iterator[tuple[Due, float]], share: int, shares: int) -> Iterator[Due]:
    """Yield the requests that worker ``share`` of ``shares`` offers."""
    return (due for due, lot in planned if int(lot * shares) == share)


def steady(rate: float, seconds: float) -> Iterator[Due]:
    """Yield evenly spaced requests, for writes, whose times are not judged."""
    for number in range(math.floor(rate * seconds)):
        yield Due(number, (number + 1) / rate, 0.0)
