"""Waits end with the condition or with the time, on a clock that only sleeping moves."""

from __future__ import annotations

from vectorfleet.waiting import until


class Clock:
    """A clock that stands still between sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def waited(answers: list[int], within_seconds: float) -> tuple[int, float, int]:
    """Return the answer, the seconds that passed and the number of looks that were left."""
    clock, left = Clock(), list(answers)
    found = until(lambda: left.pop(0), within_seconds, 0.25, clock=clock.now, sleep=clock.sleep)
    return found, clock.seconds, len(left)


def test_a_true_answer_ends_the_wait() -> None:
    assert waited([0, 0, 7, 8], 10) == (7, 0.5, 1)


def test_the_time_ends_the_wait_with_the_last_answer() -> None:
    assert waited([0] * 9, 0.6) == (0, 0.6, 5)


def test_no_time_is_one_look() -> None:
    assert waited([0, 1], 0) == (0, 0, 1)
    assert waited([1, 0], -5) == (1, 0, 1)
