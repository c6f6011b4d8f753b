"""The runner: branches, budgets, expectations, what a person may answer, and going on after a crash."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbooks.jsonlines import read_records
from runbooks.runner.journal import unfinished
from runbooks.runner.run import Answer, Runner
from runbooks.runner.shell import Shell
from runbooks.verdict import Verdict
from tests.runbooks.small_pages import PERSON, page, run, step, trail


def test_a_page_runs_to_its_end(tmp_path: Path) -> None:
    done = run(
        page(step(1, "touch a", "If not: go to 2"), step(2, "test -f a", "If not: go to 1", "Then: done")), tmp_path
    )
    assert (done.verdict, trail(done)) == (Verdict.PASS, [(1, "PASS"), (2, "PASS")])


def test_a_failed_step_takes_its_branch_and_a_person_at_the_end_is_a_failure(tmp_path: Path) -> None:
    done = run(
        page(step(1, "false", "If not: go to 3"), step(2, "true", "If not: go to 3"), step(3, "", PERSON)), tmp_path
    )
    assert (done.verdict, trail(done), done.not_run) == (Verdict.FAIL, [(1, "FAIL")], (2, 3))
    assert "step 3 asks for a person" in done.sentence


def test_what_a_failed_step_printed_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    found = page(step(1, "echo fine; echo why; false", "If not: go to 2", "Then: done"), step(2, "", PERSON))
    Runner(found, Shell(tmp_path), tmp_path / "journal.jsonl", say=said.append).run()
    assert "     why" in said


def test_a_failing_line_ends_the_step(tmp_path: Path) -> None:
    done = run(page(step(1, "false\ntouch after", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path)
    assert done.verdict is Verdict.FAIL
    assert not (tmp_path / "after").exists()


def test_an_unset_variable_fails_the_step(tmp_path: Path) -> None:
    done = run(page(step(1, "echo $NOT_SET_ANYWHERE", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path)
    assert trail(done) == [(1, "FAIL")]


def test_then_leads_past_what_only_failures_need(tmp_path: Path) -> None:
    found = page(
        step(1, "true", "If not: go to 2", "Then: go to 3"),
        step(2, "false", "If not: go to 3"),
        step(3, "true", "If not: go to 2", "Then: done"),
    )
    assert trail(run(found, tmp_path)) == [(1, "PASS"), (3, "PASS")]


def test_a_limited_way_back_is_taken_no_more_often_than_it_says(tmp_path: Path) -> None:
    again = "If not: go to 1, at most 2 times, then go to 2"
    done = run(page(step(1, "echo x >> n; false", again, "Then: done"), step(2, "", PERSON)), tmp_path)
    assert trail(done) == [(1, "FAIL")] * 3
    assert (tmp_path / "n").read_text().count("x") == 3


def test_an_exhausted_budget_kills_the_whole_process_group(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > child; sleep 60"
    done = run(page(step(1, script, "If not: go to 2", "Then: done", budget="0.5s"), step(2, "", PERSON)), tmp_path)
    assert "budget of 0.5s ran out" in done.visits[0].reason
    assert done.visits[0].ended - done.visits[0].began < 5
    assert _gone(int((tmp_path / "child").read_text()))


def test_a_step_leaves_nothing_running(tmp_path: Path) -> None:
    done = run(
        page(step(1, "sleep 60 & echo $! > child", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path
    )
    assert done.verdict is Verdict.PASS
    assert _gone(int((tmp_path / "child").read_text()))


def _gone(pid: int) -> bool:
    """Whether a killed process ends: the kernel does it, and on a busy machine not at once."""
    until = time.monotonic() + 5
    while _lives(Path(f"/proc/{pid}/stat")):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _lives(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


EXPECTATIONS = [
    ("exit 0", "true", True),
    ("exit 0", "false", False),
    ("exit 3", "exit 3", True),
    ("`echo yes` prints `yes`", "true", True),
    ("`echo well; echo yes` prints `yes`", "true", True),
    ("`echo yes no` prints `yes`", "true", False),
    ("`echo yes; false` prints `yes`", "true", False),
    ("exit 0; `false` exits 1", "true", True),
    ("exit 0; `true` exits 1", "true", False),
]


@pytest.mark.parametrize(("expect", "script", "met"), EXPECTATIONS)
def test_an_expectation_is_looked_at(tmp_path: Path, expect: str, script: str, met: bool) -> None:
    done = run(page(step(1, script, "If not: go to 2", "Then: done", expect=expect), step(2, "", PERSON)), tmp_path)
    assert (done.visits[0].verdict is Verdict.PASS) == met, done.visits[0].reason


def test_within_looks_again_until_it_is_so(tmp_path: Path) -> None:
    script = "test -f b && echo yes || { test -f a && touch b; touch a; echo no; }"
    expect = f"`{script}` prints `yes` within budget"
    found = page(step(1, "true", "If not: go to 2", "Then: done", expect=expect, budget="20s"), step(2, "", PERSON))
    assert run(found, tmp_path).verdict is Verdict.PASS


def test_within_gives_up_at_its_own_bound(tmp_path: Path) -> None:
    expect = "`echo no` prints `yes` within 1.5s"
    found = page(step(1, "true", "If not: go to 2", "Then: done", expect=expect, budget="30s"), step(2, "", PERSON))
    done = run(found, tmp_path)
    assert "printed `no`" in done.visits[0].reason
    assert 1.4 < done.visits[0].ended - done.visits[0].began < 10


def test_without_within_one_look_decides(tmp_path: Path) -> None:
    expect = "`echo x >> looks; echo no` prints `yes`"
    found = page(step(1, "true", "If not: go to 2", "Then: done", expect=expect), step(2, "", PERSON))
    run(found, tmp_path)
    assert (tmp_path / "looks").read_text().count("x") == 1


# The journal and undo.


def test_the_intent_is_on_disk_before_the_step_runs(tmp_path: Path) -> None:
    run(page(step(1, "cp journal.jsonl seen", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path)
    kinds = [json.loads(line)["record"] for line in (tmp_path / "seen").read_text().splitlines()]
    assert kinds[:2] == ["start", "intent"]
    assert "outcome" not in kinds
    assert [record["record"] for record in read_records(tmp_path / "journal.jsonl")][-2:] == ["outcome", "end"]


def test_undo_is_recorded_newest_first_and_not_run(tmp_path: Path) -> None:
    one = step(1, "true", "Undo: `touch undone-1`", "If not: go to 2")
    two = step(2, "true", "Undo: `touch undone-2`", "If not: go to 1", "Then: done")
    assert run(page(one, two), tmp_path).undo == ("touch undone-2", "touch undone-1")
    assert not list(tmp_path.glob("undone-*"))


# A person at the keys.


def answers(*given: Answer) -> Callable[[object], Answer]:
    waiting: Iterator[Answer] = iter(given)
    return lambda _step: next(waiting)


def test_a_person_may_have_done_a_step_by_hand(tmp_path: Path) -> None:
    found = page(step(1, "touch a", "If not: go to 2"), step(2, "true", "If not: go to 1", "Then: done"))
    done = run(found, tmp_path, answers("done", "run"))
    assert [(visit.by, visit.verdict.value) for visit in done.visits] == [("person", "PASS"), ("runner", "PASS")]
    assert not (tmp_path / "a").exists()


def test_a_person_may_say_that_it_failed(tmp_path: Path) -> None:
    done = run(page(step(1, "true", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path, answers("failed"))
    assert trail(done) == [(1, "FAIL")]


def test_a_person_may_end_the_run(tmp_path: Path) -> None:
    done = run(page(step(1, "true", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path, answers("abort"))
    assert done.verdict is Verdict.ABORTED
    assert not unfinished(tmp_path / "journal.jsonl")


def test_an_interrupt_is_recorded_and_goes_on_to_the_caller(tmp_path: Path) -> None:
    def interrupted(_step: object) -> Answer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(page(step(1, "true", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path, interrupted)
    assert read_records(tmp_path / "journal.jsonl")[-1]["verdict"] == "ABORTED"
