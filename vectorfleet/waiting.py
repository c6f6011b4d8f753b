"""Waiting for a condition, within a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def until(
    look: Callable[[], Answer],
    within_seconds: float,
    every_seconds: float = 0.2,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Answer:
    """
    Call `look` until its answer is true or the time is over, and return its last answer.

    `look` is called at least once, and once more at the end of the time. An error of `look` ends the wait.
    """
    deadline = clock() + within_seconds
    while not (answer := look()) and (left_seconds := deadline - clock()) > 0:
        sleep(min(every_seconds, left_seconds))
    return answer
