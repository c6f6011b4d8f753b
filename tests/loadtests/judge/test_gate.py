from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.gate import judge
from loadtests.judge.tally import Tally
from loadtests.judge.void_reasons import VoidReason
from loadtests.run.settings import Targets
from tests.loadtests.samples import sized
from vectorfleet.verdicts import Verdict

TARGETS = Targets()
BADNESS = {Verdict.PASS: 0, Verdict.UNDECIDED: 1, Verdict.VOID: 1, Verdict.FAIL: 2}


def five(*slow: int, **changes: Any) -> list[Tally]:
    return [sized(400, count, **changes) for count in slow]


LOST = VoidReason("a worker was lost", 0)
LATE = [VoidReason("the generator was late", run, timing=True) for run in range(10)]


def verdict(runs: list[Tally], *doubts: VoidReason) -> Verdict:
    return judge(runs, TARGETS, doubts).verdict


@pytest.mark.parametrize(
    ("slow", "expected"),
    [
        ((0, 0, 0, 0, 0), Verdict.PASS),
        ((16, 16, 16, 16, 16), Verdict.PASS),
        ((19, 19, 19, 19, 19), Verdict.UNDECIDED),  # every run under 5 %, but 95 of 2,000 could be chance
        ((0, 0, 0, 0, 20), Verdict.UNDECIDED),  # 1 % in all, but one run is not under 5 %
        ((0, 0, 0, 0, 400), Verdict.UNDECIDED),  # one bad run is not four
        ((30, 30, 30, 30, 0), Verdict.FAIL),
        ((21, 21, 21, 21, 21), Verdict.UNDECIDED),
        ((25, 25, 25, 25, 25), Verdict.FAIL),
    ],
)
def test_runs_and_pooled_count_decide_together(slow: tuple[int, ...], expected: Verdict) -> None:
    assert verdict(five(*slow)) == expected


@pytest.mark.parametrize(("searches", "most"), [(100, 1), (600, 20), (2000, 83)])
def test_single_run_passes_up_to_the_limit(searches: int, most: int) -> None:
    targets = replace(TARGETS, error_share=0.9)
    assert judge([sized(searches, most)], targets, ()).verdict == Verdict.PASS
    assert judge([sized(searches, most + 1)], targets, ()).verdict == Verdict.UNDECIDED


def test_nothing_measured_is_undecided() -> None:
    assert verdict([]) == Verdict.UNDECIDED
    assert verdict([sized(0, 0)]) == Verdict.UNDECIDED


def test_ten_runs_may_hold_one_that_is_over() -> None:
    nine = [sized(400, 4) for _ in range(9)]
    assert verdict([*nine, sized(400, 40)]) == Verdict.PASS
    assert verdict([*nine[:8], sized(400, 40), sized(400, 40)]) == Verdict.UNDECIDED


def test_two_looks_share_alpha() -> None:
    runs = five(16, 17, 17, 16, 17)
    assert judge(runs, TARGETS, (), looks=1).verdict == Verdict.PASS
    assert judge(runs, TARGETS, (), looks=2).verdict == Verdict.UNDECIDED


def test_errors_are_judged_beside_latency() -> None:
    assert verdict(five(2, 2, 2, 2, 2, failed=2)) == Verdict.PASS
    assert verdict(five(4, 4, 4, 4, 4, failed=4)) == Verdict.UNDECIDED
    assert verdict(five(8, 8, 8, 8, 8, failed=8)) == Verdict.FAIL


def test_failed_writes_are_errors_but_not_slow_searches() -> None:
    runs = five(0, 0, 0, 0, 0, write_batches=40, write_errors=40)
    judged = judge(runs, TARGETS, ())
    assert judged.verdict == Verdict.FAIL
    assert judged.as_json()["conditions"] == {"latency": "holds", "errors": "broken", "recall": "holds"}


def with_recall(mean: float) -> list[Tally]:
    return [replace(run, recall_sum=mean * run.judged) for run in five(0, 0, 0, 0, 0)]


@pytest.mark.parametrize(
    ("mean", "floor", "expected"),
    [
        (0.93, 0.95, Verdict.FAIL),
        (0.945, 0.95, Verdict.UNDECIDED),
        (0.955, 0.95, Verdict.UNDECIDED),
        (0.96, 0.95, Verdict.PASS),
        (0.5, 0.0, Verdict.PASS),
        (1.0, 1.0, Verdict.PASS),
        (0.9999, 1.0, Verdict.UNDECIDED),
        (0.9, 1.0, Verdict.FAIL),
    ],
)
def test_recall_is_judged_by_its_interval(mean: float, floor: float, expected: Verdict) -> None:
    assert judge(with_recall(mean), replace(TARGETS, recall_floor=floor), ()).verdict == expected


def test_one_answer_shows_no_recall() -> None:
    runs = [replace(run, judged=0, recall_sum=0.0) for run in five(0, 0, 0, 0, 0)]
    for right in (0.0, 1.0):
        judged = judge([*runs[:4], replace(runs[4], judged=1, recall_sum=right)], TARGETS, ())
        assert judged.as_json()["conditions"]["recall"] == "open"


def test_recall_sentence_has_its_interval_and_strangers() -> None:
    run, *others = with_recall(0.96)
    sentence = judge([replace(run, strangers=3, stranger="guide/7"), *others], TARGETS, ()).sentences[2]
    assert sentence.startswith(
        "Mean recall of 2,000 timed answers is 0.960, between 0.952 and 0.967 with 95 % confidence each; the floor is "
        "0.95. 3 hits are neither of the corpus nor known to be written, such as 'guide/7';"
    )


def test_recall_is_no_condition_without_truth() -> None:
    judged = judge([replace(run, truth=False, judged=0, recall_sum=0.0) for run in five(0, 0, 0, 0, 0)], TARGETS, ())
    assert judged.verdict == Verdict.PASS
    assert [condition.name for condition in judged.conditions] == ["latency", "errors"]


def test_doubt_blocks_a_pass() -> None:
    judged = judge(five(0, 0, 0, 0, 0), TARGETS, [LOST])
    assert judged.verdict == Verdict.VOID
    assert judged.sentences[0] == "Doubt: a worker was lost."


def test_failure_in_service_time_stands_beside_a_lost_worker() -> None:
    assert verdict(five(100, 100, 100, 100, 100), LOST) == Verdict.FAIL


@pytest.mark.parametrize(("late", "expected"), [(1, Verdict.FAIL), (2, Verdict.VOID), (5, Verdict.VOID)])
def test_slowness_of_runs_whose_times_are_doubted_is_not_counted(late: int, expected: Verdict) -> None:
    """Four of five runs have to be slow beyond doubt."""
    assert verdict(five(100, 100, 100, 100, 100), *LATE[:late]) == expected


def test_failure_by_the_generator_alone_is_void_by_name() -> None:
    runs = five(100, 100, 100, 100, 100, slow_service=0)
    assert verdict(runs, *LATE[:5]) == Verdict.VOID
    judged = judge(runs, TARGETS, ())
    assert judged.verdict == Verdict.VOID
    (reason,) = judged.void_reasons
    assert reason.startswith("the latency may be the generator's own doing; ")
    assert "0 of 2,000 searches" in reason


def test_refused_requests_are_errors_in_spite_of_lateness() -> None:
    assert verdict(five(40, 40, 40, 40, 40, failed=40), *LATE[:5]) == Verdict.FAIL
    assert verdict(five(0, 0, 0, 0, 0, short=40), *LATE[:5]) == Verdict.FAIL


def test_time_outs_are_errors_only_without_lateness() -> None:
    runs = five(10, 10, 10, 10, 10, timeouts=10, waits=10)
    assert verdict(runs) == Verdict.FAIL
    assert verdict(runs, *LATE[:5]) == Verdict.VOID


def test_errors_of_the_generator_are_void() -> None:
    runs = five(400, 400, 400, 400, 400, slow_service=0, raised=400, reason="ValueError: no port")
    assert verdict(runs, VoidReason("400 requests met an error of the generator")) == Verdict.VOID


@pytest.mark.parametrize(
    ("window", "label", "words"), [(10.0, "PASS as a smoke test", "A smoke test"), (60.0, "PASS", "The v")]
)
def test_verdict_says_which_events_it_can_not_see(window: float, label: str, words: str) -> None:
    judged = judge(five(0, 0, 0, 0, 0, window_seconds=window), TARGETS, ())
    assert (judged.label, judged.as_json()["smoke"]) == (label, window < 60)
    assert judged.sentences[-1].startswith(words)
    assert f"says nothing of events rarer than {window:g} s" in judged.sentences[-1]


def test_sentence_has_the_figures() -> None:
    sentence = judge(five(1, 0, 2, 0, 0), TARGETS, ()).sentences[0]
    assert sentence == (
        "3 of 2,000 searches took 200 ms or more or were not answered (0.15 %; at most 83 show P95 below the target "
        "with 95 % confidence); 5 of 5 runs stayed under 5 %."
    )


@st.composite
def gates(draw: st.DrawFn) -> list[Tally]:
    runs = []
    for _ in range(draw(st.integers(1, 10))):
        searches = draw(st.integers(0, 700))
        slow = draw(st.integers(0, min(searches, 60)))
        service, failed = draw(st.integers(0, slow)), draw(st.integers(0, min(slow, 12)))
        runs.append(sized(searches, slow, slow_service=service, failed=failed))
    return runs


@given(gates(), st.booleans(), st.data())
def test_more_slow_searches_never_improve_a_verdict(runs: list[Tally], doubt: bool, data: st.DataObject) -> None:
    doubts = LATE[: len(runs)] * doubt
    index = data.draw(st.integers(0, len(runs) - 1))
    run = runs[index]
    more = data.draw(st.integers(0, run.arrivals - run.slow))
    service = data.draw(st.integers(0, more))
    worse = replace(run, slow=run.slow + more, slow_service=run.slow_service + service)
    before, after = verdict(runs, *doubts), verdict([*runs[:index], worse, *runs[index + 1 :]], *doubts)
    assert BADNESS[after] >= BADNESS[before]


@given(gates())
def test_doubt_never_makes_a_verdict_better(runs: list[Tally]) -> None:
    clear, doubted = verdict(runs), verdict(runs, LOST, *LATE[: len(runs)])
    assert doubted in (Verdict.FAIL, Verdict.VOID)
    assert clear == Verdict.FAIL or doubted == Verdict.VOID
