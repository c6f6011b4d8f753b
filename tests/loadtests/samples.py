"""Counts and evidence of a healthy run, for tests to vary."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from loadtests.judge.tally import Tally, tally
from loadtests.run.evidence import Arrival, GeneratorReadings, Probe, Registration, RunEvidence
from loadtests.run.schedule import poisson
from loadtests.run.settings import Load, Settings

WORKER = GeneratorReadings(0, cpu_share=0.1, spin_before_ms=1.0, spin_after_ms=1.1, steal_share=0.0, pressure_share=0.5)
LOAD = Load(rate=50.0, warmup_seconds=1.0, window_seconds=8.0, seed=3)


def evidence(load: Load = LOAD, truth: bool = True, **changes: Any) -> RunEvidence:
    """Return a run whose searches were answered in 12 ms, 2 ms after their instant, with full recall."""
    seconds = load.warmup_seconds + load.window_seconds
    arrivals = tuple(
        Arrival(due.number, due.offset_seconds, 0, "answered", 200, 2.0, 12.0, 10.0, 1.0)
        for due, _ in poisson(load.rate, seconds, load.seed)
    )
    probes = tuple(Probe(number, 0.5 * number, 1.5) for number in range(int(2 * seconds)))
    registration = Registration("http://127.0.0.1:1", Settings(load=load), 1, truth, "2026-01-01T00:00:00+00:00")
    return replace(RunEvidence(registration, arrivals, probes, (), (WORKER,)), **changes)


@cache
def _healthy() -> Tally:
    return tally(evidence())


def healthy(**changes: Any) -> Tally:
    """Return a run without a slow search or an error."""
    return replace(_healthy(), **changes)


def sized(searches: int, slow: int, **changes: Any) -> Tally:
    """Return a healthy run of some searches, of which the service made ``slow`` slow."""
    counts = {"arrivals": searches, "planned": searches, "expected": float(searches), "answered": searches}
    given = {"slow": slow, "slow_service": slow, "judged": searches, "recall_sum": float(searches)}
    return healthy(**(counts | given | changes))
