from __future__ import annotations

from dataclasses import replace

import pytest

from loadtests.judge.tally import percentile, tally
from loadtests.run.evidence import Arrival, Ranking, RunEvidence, WriteBatch
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
    assert (counts.slow_service, counts.waits, counts.refused) == (5, 2, 1)
    assert counts.errors == 3


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
    assert (counts.partial, counts.errors, counts.refused, counts.slow) == (1, 1, 1, 0)


def test_an_answer_with_too_few_hits_is_an_error_once() -> None:
    short = Arrival(0, 0, 0, "answered", 200, 0.0, 9.0, 9.0, 0.5, short=True)
    counts = tally(with_first_measured(evidence(), short, replace(short, partial=True)))
    assert (counts.partial, counts.short, counts.errors, counts.refused, counts.slow) == (1, 1, 2, 2, 0)


@pytest.mark.parametrize(
    ("arrival", "certain"),
    [
        (Arrival(0, 0, 0, "answered", 200, 1.0, 301.0, 300.0, stalled_ms=99.0), True),
        (Arrival(0, 0, 0, "answered", 200, 1.0, 301.0, 300.0, stalled_ms=101.0), False),
        (Arrival(0, 0, 0, "answered", 200, 290.0, 301.0, 11.0), False),
        (Arrival(0, 0, 0, "timeout", 0, 1.0, 5001.0, 5000.0, stalled_ms=199.0), True),
        (Arrival(0, 0, 0, "timeout", 0, 1.0, 5001.0, 5000.0, stalled_ms=201.0), False),
        (Arrival(0, 0, 0, "unsent", lag_ms=49.0), True),
        (Arrival(0, 0, 0, "unsent", lag_ms=51.0), False),
        (Arrival(0, 0, 0, "failed", 503, 1.0, 301.0, 300.0, stalled_ms=300.0), True),
        (Arrival(0, 0, 0, "raised", reason="ValueError: no port"), False),
    ],
)
def test_slowness_is_the_services_without_the_generators_stalls(arrival: Arrival, certain: bool) -> None:
    counts = tally(with_first_measured(evidence(), arrival))
    assert (counts.slow, counts.slow_service) == (1, int(certain))


def test_unsent_is_the_generators_where_its_cap_is_too_small() -> None:
    """At 50 searches a second and a target of 200 ms ten are in flight, by chance up to twice as many."""
    for cap, certain in ((19, 0), (20, 1)):
        run = with_first_measured(evidence(replace(LOAD, flight_cap=cap)), Arrival(0, 0, 0, "unsent"))
        assert tally(run).waits == certain


def test_error_of_the_generator_is_named() -> None:
    run = with_first_measured(evidence(), Arrival(0, 0, 0, "raised", reason="ValueError: no port"))
    counts = tally(replace(run, writes=(WriteBatch(0, 2.0, 5, 0, None, reason="OSError: no socket", raised=True),)))
    assert (counts.raised, counts.writes_raised, counts.reason) == (1, 1, "ValueError: no port")
    assert (counts.slow, counts.errors, counts.refused) == (1, 2, 0)


@pytest.mark.parametrize(
    ("batch", "refused"),
    [
        (WriteBatch(0, 2.0, 5, 503, 0.1, lag_ms=900.0, stalled_ms=900.0), 1),
        (WriteBatch(0, 2.0, 5, 0, 5.0), 1),
        (WriteBatch(0, 2.0, 5, 0, 5.0, stalled_ms=300.0), 0),
        (WriteBatch(0, 2.0, 5, 0, None, lag_ms=51.0), 0),
    ],
)
def test_writes_that_wait_for_the_generator_are_not_refused(batch: WriteBatch, refused: int) -> None:
    counts = tally(evidence(writes=(batch,)))
    assert (counts.write_errors, counts.refused) == (1, refused)


def test_documents_count_as_added_from_when_they_were_sent() -> None:
    write = WriteBatch(0, 2.0, 2, 0, None, sent_at=1_000.0)
    answer = Arrival(0, 0, 0, "answered", 200, 1.0, 9.0, 8.0)
    early, late = (
        replace(answer, answered_at=at, ranking=Ranking(10, (0, 1, 2, 3, 4, 5, 6, 7, 8), 0, ("load/3/1",)))
        for at in (990.0, 1_000.1)
    )
    foreign, present = (
        replace(late, ranking=replace(late.ranking or Ranking(0, ()), others=(one,))) for one in ("x", "load/9/9")
    )
    run = with_first_measured(evidence(writes=(write,), present=("load/9/9",)), early, late, foreign, present)
    counts = tally(run)
    assert counts.judged - counts.recall_sum == pytest.approx(0.2)
    assert (counts.strangers, counts.stranger) == (2, "load/3/1")
