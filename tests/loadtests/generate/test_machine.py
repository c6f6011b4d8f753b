from __future__ import annotations

import time

import gevent

from loadtests.generate.machine import MachineWatch, Pulse, spin_ms


def test_watch_sees_own_cpu() -> None:
    watch = MachineWatch(2)
    until_seconds = time.process_time() + 0.05
    while time.process_time() < until_seconds:
        pass
    seen = watch.finish()
    assert seen.share == 2
    assert 0.02 < seen.cpu_share <= 1.1
    assert 0 <= seen.steal_share <= 1
    assert seen.pressure_share >= 0


def test_same_work_takes_about_the_same_cpu() -> None:
    first, second = sorted((spin_ms(), spin_ms()))
    assert 0 < first <= second < 10 * first


def test_a_stall_counts_before_and_after_the_next_beat() -> None:
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
