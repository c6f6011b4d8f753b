from __future__ import annotations

from dataclasses import replace

import pytest

from loadtests.arrivals import Arrival
from loadtests.evidence import RunEvidence, WriteBatch
from loadtests.tally import percentile, tally
from tests.loadtests.samples import LOAD, evidence, healthy


def with_first_measured(run: RunEvidence, *changed: Arrival) -> RunEvidence:
    """Replace the first arrivals of the window, keeping numbers and instants."""
    start = next(i for i, arrival in enumerate(run.arrivals) if arrival.offset_seconds >= LOAD.warmup_seconds)
    arrivals = list(run.arrivals)
    for index, arrival in enumerate(changed, start=start):
        planned = arrivals[index]
        arrivals[index] = replace(arrival, number=planned.number, offset_seconds=planned.offset_seconds)
    return replace(run, arrivals=tuple(arrivals))


def test_window_is_chosen_by_intended_time() -> None:
    run = evidence()
    inside = [arrival for arrival in run.arrivals if arrival.offset_seconds >= 1.0]
    assert healthy().arrivals == len(inside) == healthy().planned < len(run.arrivals)


def test_unsent_failed_and_timed_out_are_slow() -> None:
    run = with_first_measured(
        evidence(),
        Arrival(0, 0, 0, "unsent"),
        Arrival(0, 0, 0, "failed", 503, 1.0, 3.0, 2.0),
        Arrival(0, 0, 0, "timeout", 0, 1.0, 5001.0, 5000.0),
        Arrival(0, 0, 0, "answered", 200, 1.0, 250.0, 249.0, 1.0),
        Arrival(0, 0, 0, "answered", 200, 1.0, 501.0, 500.0, 1.0),
    )
    counts = tally(run)
    assert (counts.slow, counts.over_alert, counts.unsent, counts.failed, counts.timeouts) == (5, 4, 1, 1, 1)
    assert counts.slow_service == 4
    assert counts.errors == 3
    assert counts.service_errors == 2


def test_late_search_is_slow_but_not_in_service_time() -> None:
    run = with_first_measured(evidence(), Arrival(0, 0, 0, "answered", 200, 220.0, 230.0, 10.0, 1.0))
    counts = tally(run)
    assert (counts.slow, counts.slow_service, counts.late) == (1, 0, 1)


def test_target_itself_is_slow() -> None:
    """The objective is "below 200 ms"."""
    run = with_first_measured(evidence(), Arrival(0, 0, 0, "answered", 200, 0.0, 200.0, 200.0, 1.0))
    assert tally(run).slow == 1


def test_writes_count_as_requests_not_as_searches() -> None:
    writes = (WriteBatch(0, 2.0, 5, 200, 0.1, 7), WriteBatch(5, 3.0, 5, 503, 0.1), WriteBatch(10, 0.5, 5, 200, 0.1))
    counts = tally(evidence(writes=writes))
    assert (counts.write_batches, counts.write_errors, counts.documents_written) == (2, 1, 10)
    assert counts.errors == 1
    assert counts.requests == counts.arrivals + 2
    assert counts.slow == 0


def test_recall_is_the_mean_of_the_judged() -> None:
    run = with_first_measured(
        evidence(),
        Arrival(0, 0, 0, "answered", 200, 1.0, 9.0, 8.0, 0.5),
        Arrival(0, 0, 0, "answered", 200, 1.0, 9.0, 8.0, None),
    )
    counts = tally(run)
    assert counts.judged == counts.arrivals - 1
    assert counts.recall == pytest.approx(1 - 0.5 / counts.judged)


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [([], 0.95, None), ([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0] * 95 + [9.0] * 5, 0.95, 1.0), ([1.0, None], 0.95, None)],
)
def test_percentile_is_the_nearest_rank_with_errors_last(
    times: list[float | None], share: float, expected: float | None
) -> None:
    assert percentile(times, share) == expected


def test_an_answer_that_lacks_a_shard_is_an_error() -> None:
    """As it is for the error-rate alarm."""
    run = with_first_measured(evidence(), Arrival(0, 0, 0, "answered", 200, 0.0, 9.0, 9.0, 0.5, partial=True))
    counts = tally(run)
    assert (counts.partial, counts.errors, counts.service_errors, counts.slow) == (1, 1, 1, 0)
