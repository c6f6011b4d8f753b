"""Reasons for which a gate is VOID, unless a FAIL holds without all that is in doubt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from loadtests.judge.tally import Tally
from loadtests.run.settings import Limits, Targets


@dataclass(frozen=True)
class VoidReason:
    """A clause, the index of its run, and whether it puts that run's times in doubt."""

    reason: str
    run: int | None = None
    timing: bool = False


def find_void_reasons(runs: Sequence[Tally], targets: Targets, limits: Limits) -> tuple[VoidReason, ...]:
    """Return the reasons of all runs; each names its run if there are several."""
    found: list[VoidReason] = []
    for index, run in enumerate(runs):
        prefix = f"run {index + 1}: " if len(runs) > 1 else ""
        timing = chain(_lateness(run, limits), _floor(run, limits), _machine(run, limits))
        found += [VoidReason(prefix + reason, index) for reason in chain(_completeness(run), _own_errors(run))]
        found += [VoidReason(prefix + reason, index, timing=True) for reason in timing]
    return (*found, *map(VoidReason, _recall(runs, targets, limits)))


def _completeness(run: Tally) -> Iterator[str]:
    lost = run.workers - len(run.generators)
    if lost > 0:
        yield f"{lost} of {run.workers} workers of the generator did not work to the end"
    if run.arrivals != run.planned:
        yield f"the record holds {run.arrivals} of the {run.planned} searches that the seed plans"
    if abs(run.arrivals - run.expected) > 4 * math.sqrt(run.expected):
        yield f"{run.arrivals} searches were due where {run.expected:g} are expected, over four sigma off"


def _own_errors(run: Tally) -> Iterator[str]:
    if own := run.raised + run.writes_raised:
        yield f"{own} of {run.requests} requests met an error of the generator ({run.reason})"


def _lateness(run: Tally, limits: Limits) -> Iterator[str]:
    if run.arrivals and run.late / run.arrivals > limits.lag_share:
        yield (
            f"{run.late} of {run.arrivals} searches were sent more than {limits.lag_limit_ms:g} ms late"
            f" (at most {100 * limits.lag_share:g} % may be)"
        )


def _floor(run: Tally, limits: Limits) -> Iterator[str]:
    if not run.floor_wanted:
        return
    if run.floor_p95_ms is None:
        yield "the null endpoint gave no P95, so the floor of the harness is unknown"
    elif run.floor_p95_ms > limits.floor_limit_ms:
        yield f"the harness alone has a P95 of {run.floor_p95_ms:.0f} ms (limit {limits.floor_limit_ms:g} ms)"


def _machine(run: Tally, limits: Limits) -> Iterator[str]:
    for worker in run.generators:
        if worker.cpu_share > limits.cpu_share:
            yield f"the generator used {worker.cpu_share:.0%} of its core (limit {limits.cpu_share:.0%})"
        if worker.steal_share > limits.steal_share:
            yield f"{worker.steal_share:.0%} of the CPU time was stolen (limit {limits.steal_share:.0%})"
        spins = sorted((worker.spin_before_ms, worker.spin_after_ms))
        if spins[1] > limits.spin_change * spins[0]:
            yield (
                f"the machine's speed changed: the same work took {worker.spin_before_ms:.2f} ms of CPU before"
                f" and {worker.spin_after_ms:.2f} ms after (at most a factor of {limits.spin_change:g})"
            )


def _recall(runs: Sequence[Tally], targets: Targets, limits: Limits) -> Iterator[str]:
    if not targets.recall_floor or not any(run.truth for run in runs):
        return
    judged, answered = sum(run.judged for run in runs), sum(run.answered for run in runs)
    if judged < limits.judged_least or 2 * judged < answered:
        yield (
            f"only {judged} of {answered} answers could be compared with their truth"
            f" (at least {limits.judged_least} and half of them are needed)"
        )
