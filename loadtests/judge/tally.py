"""The counts of a run, from which the gate judges: counts of several runs add up, percentiles do not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from loadtests.judge.failures import count_kinds
from loadtests.judge.recall import Ledger, recall_while_growing
from loadtests.run.evidence import Arrival, GeneratorReadings, RunEvidence, WriteBatch
from loadtests.run.schedule import poisson
from loadtests.run.settings import Load, Settings

# A service within its target never has twice as many searches in flight as arrive during the target.
_ROOM = 2.0


@dataclass(frozen=True)
class Tally:
    """Counts over the measured window of one run, chosen by intended time.

    ``slow`` searches were answered after the target, failed, timed out or were never sent. ``slow_service`` leaves out
    all that may be the generator's doing: time counts from sending, less the time in which the generator was stalled.
    ``waits`` are the time-outs and unsent searches that are the service's errors by the same rule. ``raised`` requests
    met an error of the generator; ``reason`` is one of them. ``strangers`` are documents in answers that are neither of
    the corpus nor known to be written. ``failures`` counts the errors by status and reason.

    Percentiles are information only. An unanswered search counts as slower than any other; None is the percentile of
    such a search.
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
    short: int
    raised: int
    reason: str
    waits: int
    answered: int
    judged: int
    recall_sum: float
    strangers: int
    stranger: str
    write_batches: int
    write_errors: int
    write_waits: int
    writes_raised: int
    documents_written: int
    window_seconds: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    floor_wanted: bool
    floor_p95_ms: float | None
    workers: int
    generators: tuple[GeneratorReadings, ...]
    truth: bool
    failures: tuple[tuple[str, int], ...] = ()

    @property
    def requests(self) -> int:
        """Searches due and batches written, the whole of the error rate."""
        return self.arrivals + self.write_batches

    @property
    def errors(self) -> int:
        """Requests without a proper answer."""
        return self.unsent + self.raised + self.failed + self.timeouts + self.partial + self.short + self.write_errors

    @property
    def refused(self) -> int:
        """Requests that the service answered improperly, whatever time that took."""
        own_writes = self.write_errors - self.write_waits - self.writes_raised
        return self.failed + self.partial + self.short + own_writes

    @property
    def recall(self) -> float | None:
        """Mean recall of the judged answers."""
        return self.recall_sum / self.judged if self.judged else None


def tally(run: RunEvidence) -> Tally:
    """Return the counts of a run."""
    settings, load = run.registration.settings, run.registration.settings.load
    arrivals = [arrival for arrival in run.arrivals if _measured(load, arrival.offset_seconds)]
    floor = [probe.response_ms for probe in run.probes if _measured(load, probe.offset_seconds)]
    times = [arrival.response_ms if arrival.outcome == "answered" else None for arrival in arrivals]
    outcomes = Counter(arrival.outcome for arrival in arrivals)
    return Tally(
        seed=load.seed,
        planned=_planned(load),
        arrivals=len(arrivals),
        expected=load.rate * load.window_seconds,
        slow=sum(_slow(arrival, settings.targets.p95_target_ms) for arrival in arrivals),
        slow_service=sum(_slow_service(arrival, settings) for arrival in arrivals),
        over_alert=sum(_slow(arrival, settings.targets.alert_ms) for arrival in arrivals),
        unsent=outcomes["unsent"],
        failed=outcomes["failed"],
        timeouts=outcomes["timeout"],
        late=sum((arrival.lag_ms or 0.0) > settings.limits.lag_limit_ms for arrival in arrivals),
        partial=sum(arrival.partial for arrival in arrivals),
        short=sum(arrival.short and not arrival.partial for arrival in arrivals),
        raised=outcomes["raised"],
        reason=next(_reasons(run), ""),
        waits=sum(_waited_out(arrival, settings) for arrival in arrivals),
        answered=outcomes["answered"],
        p50_ms=percentile(times, 0.50),
        p95_ms=percentile(times, 0.95),
        p99_ms=percentile(times, 0.99),
        floor_wanted=load.null_rate > 0,
        floor_p95_ms=percentile(floor, 0.95),
        workers=run.registration.workers,
        generators=run.generators,
        truth=run.registration.truth,
        window_seconds=load.window_seconds,
        **_recalls(run, arrivals),
        **_writes(run, arrivals),
    )


def _recalls(run: RunEvidence, arrivals: Sequence[Arrival]) -> dict[str, Any]:
    """Return the recall of the answers, and the documents in them that nobody is known to have written."""
    load = run.registration.settings.load
    ledger = Ledger(load.seed, run.writes, run.present)
    recalls, strangers = [], []
    for arrival in arrivals:
        written = partial(ledger.written, by=arrival.answered_at)
        recall = arrival.recall
        if arrival.ranking is not None:
            recall = recall_while_growing(arrival.ranking, load.k, written)
            strangers += [source_id for source_id in arrival.ranking.others if not written(source_id)]
        if recall is not None:
            recalls.append(recall)
    return {
        "judged": len(recalls),
        "recall_sum": math.fsum(recalls),
        "strangers": len(strangers),
        "stranger": strangers[0] if strangers else "",
    }


def _writes(run: RunEvidence, arrivals: Sequence[Arrival]) -> dict[str, Any]:
    settings = run.registration.settings
    writes = [batch for batch in run.writes if _measured(settings.load, batch.offset_seconds)]
    return {
        "write_batches": len(writes),
        "write_errors": sum(batch.status != 200 for batch in writes),
        "write_waits": sum(_may_be_own_wait(batch, settings) for batch in writes),
        "writes_raised": sum(batch.raised for batch in writes),
        "failures": count_kinds(arrivals, writes),
        "documents_written": sum(batch.acknowledged for batch in run.writes),
    }


def percentile(times_ms: Iterable[float | None], share: float) -> float | None:
    """Return the nearest-rank percentile; None entries are slower than all others. None also for no entries."""
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


def _slow_service(arrival: Arrival, settings: Settings) -> bool:
    """Return whether a search is slow even without the time in which the generator was stalled."""
    if arrival.outcome in ("timeout", "unsent"):
        return _waited_out(arrival, settings)
    if arrival.outcome == "answered" and arrival.service_ms is not None:
        return arrival.service_ms - arrival.stalled_ms >= settings.targets.p95_target_ms
    return arrival.outcome == "failed"


def _waited_out(arrival: Arrival, settings: Settings) -> bool:
    """Return whether the service alone explains that a search timed out, or found no room in flight."""
    load, target_ms = settings.load, settings.targets.p95_target_ms
    if arrival.outcome == "timeout":
        return arrival.stalled_ms < target_ms
    roomy = load.flight_cap >= _ROOM * load.rate * target_ms / 1000
    return arrival.outcome == "unsent" and roomy and (arrival.lag_ms or 0.0) <= settings.limits.lag_limit_ms


def _reasons(run: RunEvidence) -> Iterator[str]:
    yield from (arrival.reason for arrival in run.arrivals if arrival.outcome == "raised")
    yield from (batch.reason for batch in run.writes if batch.raised)


def _may_be_own_wait(batch: WriteBatch, settings: Settings) -> bool:
    """Return whether a write may lack its answer, or room to be sent, because the generator was stalled."""
    late = (batch.lag_ms or 0.0) > settings.limits.lag_limit_ms or batch.stalled_ms >= settings.targets.p95_target_ms
    return batch.status == 0 and not batch.raised and late
