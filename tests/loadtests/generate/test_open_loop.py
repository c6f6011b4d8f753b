from __future__ import annotations

import time

import gevent

from loadtests.generate.open_loop import OpenLoop
from loadtests.run.schedule import Due, steady


def test_every_arrival_is_offered_at_its_instant() -> None:
    epoch_seconds = time.perf_counter() + 0.01
    loop = OpenLoop(50, epoch_seconds)
    sent: list[tuple[int, float]] = []
    loop.offer(
        steady(100, 0.3),
        lambda due: sent.append((due.number, time.perf_counter() - epoch_seconds - due.offset_seconds)),
        unsent=lambda due: None,
    )
    loop.drain(1)
    assert [number for number, _ in sent] == list(range(30))
    assert all(lag_seconds >= 0 for _, lag_seconds in sent)


def test_past_instants_are_made_up_for_and_not_moved() -> None:
    """After a stall everything due is offered at once, and what comes later keeps its planned instant."""
    loop = OpenLoop(50, time.perf_counter() - 1.0)
    sent: list[int] = []
    start_seconds = time.perf_counter()
    loop.offer(steady(10, 1.2), lambda due: sent.append(due.number), unsent=lambda due: None)
    loop.drain(1)
    assert sent == list(range(12))
    assert 0.15 < time.perf_counter() - start_seconds < 1.0


def test_arrival_without_room_is_reported_unsent() -> None:
    loop = OpenLoop(2, time.perf_counter())
    unsent: list[Due] = []
    loop.offer(steady(100, 0.05), lambda due: gevent.sleep(1), unsent.append)
    loop.drain(0.01)
    assert [due.number for due in unsent] == [2, 3, 4]


def test_drain_kills_what_does_not_come_back() -> None:
    loop = OpenLoop(2, time.perf_counter())
    ends: list[int] = []

    def stuck(due: Due) -> None:
        try:
            gevent.sleep(60)
        finally:
            ends.append(due.number)

    loop.offer(steady(100, 0.02), stuck, unsent=lambda due: None)
    loop.drain(0.02)
    assert sorted(ends) == [0, 1]
