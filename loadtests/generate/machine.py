"""Readings of the generator's machine during a run: own CPU, stolen time, pressure, speed, and stalls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import gevent

from loadtests.run.evidence import GeneratorReadings

_SPINS = 15
_SPIN_STEPS = 100_000
_BEAT_SECONDS = 0.01


@dataclass(frozen=True)
class _Reading:
    clock_seconds: float
    cpu_seconds: float
    steal_ticks: int
    all_ticks: int
    pressure_us: int


class MachineWatch:
    """Two readings of the machine, when made and at ``finish``; both take about 20 ms of CPU."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._spin_before_ms = spin_ms()
        self._before = _read()

    def finish(self) -> GeneratorReadings:
        """Read the machine again and return the differences."""
        before, after = self._before, _read()
        seconds = max(after.clock_seconds - before.clock_seconds, 1e-9)
        ticks = max(after.all_ticks - before.all_ticks, 1)
        return GeneratorReadings(
            share=self._share,
            cpu_share=(after.cpu_seconds - before.cpu_seconds) / seconds,
            spin_before_ms=self._spin_before_ms,
            spin_after_ms=spin_ms(),
            steal_share=(after.steal_ticks - before.steal_ticks) / ticks,
            pressure_share=(after.pressure_us - before.pressure_us) / 1e6 / seconds,
        )


class Pulse:
    """A beat a hundred times a second; a late beat adds to the time in which the process was stalled."""

    def __init__(self) -> None:
        self._stalled_seconds = 0.0
        self._beat_seconds = time.perf_counter()

    def run(self) -> None:
        """Beat until killed."""
        while True:
            self._stalled_seconds = self._until_now()
            self._beat_seconds = time.perf_counter()
            gevent.sleep(_BEAT_SECONDS)

    @property
    def stalled_ms(self) -> float:
        """Milliseconds so far, with a stall that no beat has ended yet."""
        return self._until_now() * 1000

    def _until_now(self) -> float:
        return self._stalled_seconds + max(0.0, time.perf_counter() - self._beat_seconds - _BEAT_SECONDS)


def spin_ms() -> float:
    """Return CPU milliseconds of fixed work; the least of several tries shows a slower core and nothing else."""
    return min(_one_spin() for _ in range(_SPINS)) * 1000


def _one_spin() -> float:
    start = time.process_time()
    sum(range(_SPIN_STEPS))
    return time.process_time() - start


def _read() -> _Reading:
    steal, everything = _cpu_ticks()
    return _Reading(time.perf_counter(), time.process_time(), steal, everything, _pressure_us())


def _cpu_ticks() -> tuple[int, int]:
    """Return stolen and all CPU ticks of the machine from ``/proc/stat``, zeros without that file."""
    ticks = [int(word) for word in _first_line("/proc/stat").split()[1:9]]
    return ticks[7] if len(ticks) > 7 else 0, sum(ticks)


def _pressure_us() -> int:
    """Return microseconds in which a task waited for a core from ``/proc/pressure/cpu``, 0 without that file."""
    return int(_first_line("/proc/pressure/cpu").rpartition("total=")[2] or 0)


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return ""
