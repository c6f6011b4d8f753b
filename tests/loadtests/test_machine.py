from __future__ import annotations

import time

from loadtests.machine import Watch, spin_ms


def test_watch_sees_own_cpu() -> None:
    watch = Watch(2)
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
