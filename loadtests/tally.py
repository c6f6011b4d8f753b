"""One run as counts: everything the gate needs, and counts add where percentiles do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadtests.arrivals import Arrival, poisson
from loadtests.evidence import RunEvidence
from loadtests.failures import count_kinds
from loadtests.machine import Generator
from loadtests.settings import Load, Targets


@dataclass(frozen=True)
class Tally:
    """Counts over the measured window of one run, chosen by intended time.

    ``slow`` searches answered after the target, failed, timed out or were never sent. ``slow_service`` is the
    same without what may be the generator's doing: time counts from sending, and the unsent are left out.
    Percentiles are information only; an unanswered search counts as slower than any other, and None means the
    percentile is one of those. ``failures`` counts the errors by kind: status and reason.
    """

    seed: int
    planned: int
    arrivals: int
    expected: float
    slow: int
    slow_service: int
    over_alert: int
    unsent: int
    failed: int
    timeouts: int
    late: int
    partial: int
    answered: int
    judged: int
    recall_sum: float
    write_batches: int
    write_errors: int
    documents_written: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    floor_wanted: bool
    floor_p95_ms: float | None
    workers: int
    generators: tuple[Generator, ...]
    truth: bool
    failures: tuple[tuple[str, int], ...] = ()

    @property
    def requests(self) -> int:
        """Searches due and batches written: what the error rate is a share of."""
        return self.arrivals + self.write_batches

    @property
    def errors(self) -> int:
        """Requests without a proper answer."""
        return self.unsent + self.service_errors

    @property
    def service_errors(self) -> int:
        """Requests that were sent and got no proper answer; one that lacks a shard is none."""
        return self.failed + self.timeouts + self.partial + self.write_errors

    @property
    def recall(self) -> float | None:
        """Mean recall of the judged answers."""
        return self.recall_sum / self.judged if self.judged else None


def tally(run: RunEvidence) -> Tally:
    """Count one run."""
    settings, load = run.registration.settings, run.registration.settings.load
    arrivals = [arrival for arrival in run.arrivals if _measured(load, arrival.offset_seconds)]
    writes = [batch for batch in run.writes if _measured(load, batch.offset_seconds)]
    floor = [probe.response_ms for probe in run.probes if _measured(load, probe.offset_seconds)]
    times = [arrival.response_ms if arrival.outcome == "answered" else None for arrival in arrivals]
    recalls = [arrival.recall for arrival in arrivals if arrival.recall is not None]
    return Tally(
        seed=load.seed,
        planned=_planned(load),
        arrivals=len(arrivals),
        expected=load.rate * load.window_seconds,
        slow=sum(_slow(arrival, settings.targets.p95_target_ms) for arrival in arrivals),
        slow_service=sum(_slow_service(arrival, settings.targets) for arrival in arrivals),
        over_alert=sum(_slow(arrival, settings.targets.alert_ms) for arrival in arrivals),
        unsent=_outcomes(arrivals, "unsent"),
        failed=_outcomes(arrivals, "failed"),
        timeouts=_outcomes(arrivals, "timeout"),
        late=sum((arrival.lag_ms or 0.0) > settings.limits.lag_limit_ms for arrival in arrivals),
        partial=sum(arrival.partial for arrival in arrivals),
        answered=_outcomes(arrivals, "answered"),
        judged=len(recalls),
        recall_sum=math.fsum(recalls),
        write_batches=len(writes),
        write_errors=sum(batch.status != 200 for batch in writes),
        documents_written=sum(batch.acknowledged for batch in run.writes),
        p50_ms=percentile(times, 0.50),
        p95_ms=percentile(times, 0.95),
        p99_ms=percentile(times, 0.99),
        floor_wanted=load.null_rate > 0,
        floor_p95_ms=percentile(floor, 0.95),
        workers=run.registration.workers,
        generators=run.generators,
        truth=run.registration.truth,
        failures=count_kinds(arrivals, writes),
    )


def percentile(times_ms: Iterable[float | None], share: float) -> float | None:
    """Nearest-rank percentile; None entries are slower than all others, and nothing has no percentile."""
    ordered = sorted(math.inf if time is None else time for time in times_ms)
    if not ordered:
        return None
    value = ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
    return None if math.isinf(value) else value


def _measured(load: Load, offset_seconds: float) -> bool:
    return load.warmup_seconds <= offset_seconds < load.warmup_seconds + load.window_seconds


def _planned(load: Load) -> int:
    seconds = load.warmup_seconds + load.window_seconds
    return sum(_measured(load, due.offset_seconds) for due, _ in poisson(load.rate, seconds, load.seed))


def _slow(arrival: Arrival, limit_ms: float) -> bool:
    return arrival.outcome != "answered" or arrival.response_ms is None or arrival.response_ms >= limit_ms


def _slow_service(arrival: Arrival, targets: Targets) -> bool:
    if arrival.outcome != "answered":
        return arrival.outcome != "unsent"
    return arrival.service_ms is not None and arrival.service_ms >= targets.p95_target_ms


def _outcomes(arrivals: Sequence[Arrival], outcome: str) -> int:
    return sum(arrival.outcome == outcome for arrival in arrivals)
