from __future__ import annotations

import time

import gevent

from loadtests.pulse import Pulse


def test_time_without_a_beat_counts_before_and_after_the_next() -> None:
    pulse = Pulse()
    beating = gevent.spawn(pulse.run)
    gevent.sleep(0.03)
    before_ms, until = pulse.stalled_ms, time.perf_counter() + 0.1
    while time.perf_counter() < until:
        pass  # a greenlet that gives nobody a turn is a stall
    assert pulse.stalled_ms - before_ms > 75
    gevent.sleep(0.03)
    assert pulse.stalled_ms - before_ms > 75
    beating.kill()
