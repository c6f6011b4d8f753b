from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loadtests.judge.tally import Tally
from loadtests.judge.void_reasons import find_void_reasons
from loadtests.run.evidence import GeneratorReadings
from loadtests.run.settings import Limits, Targets
from tests.loadtests.samples import WORKER, healthy, sized


def reasons(*runs: Tally, targets: Targets | None = None) -> tuple[str, ...]:
    return tuple(doubt.reason for doubt in find_void_reasons(runs, targets or Targets(), Limits()))


def with_worker(**changes: Any) -> Tally:
    worker: GeneratorReadings = replace(WORKER, **changes)
    return healthy(generators=(worker,))


def test_healthy_run_is_not_doubted() -> None:
    assert reasons(healthy()) == ()


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (healthy(workers=2), "1 of 2 workers"),
        (healthy(generators=()), "1 of 1 workers"),
        (healthy(planned=healthy().planned + 1), "that the seed plans"),
        (sized(400, 0, expected=500.0), "where 500 are expected"),
        (sized(400, 0, late=21), "21 of 400 searches were sent more than 50 ms late"),
        (healthy(floor_p95_ms=101.0), "P95 of 101 ms"),
        (healthy(floor_p95_ms=None), "no P95"),
        (healthy(raised=1, reason="ValueError: no port"), "error of the generator (ValueError: no port)"),
        (healthy(writes_raised=2), "2 of 410 requests met an error"),
        (with_worker(cpu_share=0.81), "81% of its core"),
        (with_worker(steal_share=0.11), "11% of the CPU time was stolen"),
        (with_worker(spin_after_ms=2.1), "speed changed"),
        (with_worker(spin_after_ms=0.48), "speed changed"),
        (sized(400, 0, judged=199), "only 199 of 400 answers"),
        (sized(40, 0), "only 40 of 40 answers"),
    ],
)
def test_each_doubt_is_named_alone(run: Tally, words: str) -> None:
    (reason,) = reasons(run)
    assert words in reason


def test_what_is_normal_on_a_shared_machine_is_no_doubt() -> None:
    """The figures measured beside three busy processes on two cores, and full pressure."""
    busy = replace(WORKER, spin_before_ms=1.5, spin_after_ms=1.16, pressure_share=1.0)
    assert reasons(sized(305, 0, late=8, floor_p95_ms=34.0, generators=(busy,))) == ()


def test_floor_is_not_missed_where_none_was_asked_for() -> None:
    assert reasons(healthy(floor_wanted=False, floor_p95_ms=None)) == ()


def test_recall_is_not_doubted_where_it_is_not_judged() -> None:
    assert reasons(sized(400, 0, judged=0, truth=False)) == ()
    assert reasons(sized(400, 0, judged=0), targets=Targets(recall_floor=0.0)) == ()


def test_reason_names_its_run() -> None:
    assert reasons(healthy(), healthy(workers=2))[0].startswith("run 2: ")


def test_doubts_about_times_name_their_run() -> None:
    slow = with_worker(cpu_share=0.9)
    found = find_void_reasons(
        [healthy(workers=2), slow, sized(400, 0, late=21, floor_p95_ms=None)], Targets(), Limits()
    )
    assert [(doubt.run, doubt.timing) for doubt in found] == [(0, False), (1, True), (2, True), (2, True)]
