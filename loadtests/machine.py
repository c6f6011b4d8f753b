"""What the generator's machine did during a run: own CPU, stolen time, pressure, speed before and after."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

_SPINS = 15
_SPIN_STEPS = 100_000


@dataclass(frozen=True)
class Generator:
    """A worker that worked to the end; ``cpu_share`` is of one core, ``spin_*_ms`` CPU time of fixed work."""

    share: int
    cpu_share: float
    spin_before_ms: float
    spin_after_ms: float
    steal_share: float
    pressure_share: float


@dataclass(frozen=True)
class _Reading:
    clock_seconds: float
    cpu_seconds: float
    steal_ticks: int
    all_ticks: int
    pressure_us: int


class Watch:
    """Reads the machine when made and again at ``finish``; both readings take about 20 ms of CPU."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._spin_before_ms = spin_ms()
        self._before = _read()

    def finish(self) -> Generator:
        """Close the watch and say what happened since it was made."""
        before, after = self._before, _read()
        seconds = max(after.clock_seconds - before.clock_seconds, 1e-9)
        ticks = max(after.all_ticks - before.all_ticks, 1)
        return Generator(
            share=self._share,
            cpu_share=(after.cpu_seconds - before.cpu_seconds) / seconds,
            spin_before_ms=self._spin_before_ms,
            spin_after_ms=spin_ms(),
            steal_share=(after.steal_ticks - before.steal_ticks) / ticks,
            pressure_share=(after.pressure_us - before.pressure_us) / 1e6 / seconds,
        )


def spin_ms() -> float:
    """CPU milliseconds of fixed work, the least of several tries, so that only a slower core shows."""
    return min(_one_spin() for _ in range(_SPINS)) * 1000


def _one_spin() -> float:
    start = time.process_time()
    sum(range(_SPIN_STEPS))
    return time.process_time() - start


def _read() -> _Reading:
    steal, everything = _cpu_ticks()
    return _Reading(time.perf_counter(), time.process_time(), steal, everything, _pressure_us())


def _cpu_ticks() -> tuple[int, int]:
    """Stolen and all CPU ticks of the machine, from ``/proc/stat``; zeros where there is none."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0, 0
    ticks = [int(word) for word in line.split()[1:9]]
    return ticks[7] if len(ticks) > 7 else 0, sum(ticks)


def _pressure_us() -> int:
    """Microseconds in which a task waited for a core, from ``/proc/pressure/cpu``; 0 where there is none."""
    try:
        line = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0
    return int(line.rpartition("total=")[2])
