"""The runner: jumps, budgets, expectations, the operator's answers, and the record of a run."""

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
from tests.pages import ROOT
from tests.runbooks.fake_fleet_process import eventually
from tests.runbooks.small_pages import PERSON, ended, page, run, step, trail
from vectorfleet.verdicts import Verdict


def test_a_page_runs_to_its_end(tmp_path: Path) -> None:
    done = run(
        page(step(1, "touch a", "If not: go to 2"), step(2, "test -f a", "If not: go to 1", "Then: done")), tmp_path
    )
    assert (done.verdict, trail(done)) == (Verdict.PASS, [(1, "PASS"), (2, "PASS")])


def test_a_run_that_ends_at_a_person_fails(tmp_path: Path) -> None:
    done = run(
        page(step(1, "false", "If not: go to 3"), step(2, "true", "If not: go to 3"), step(3, "", PERSON)), tmp_path
    )
    assert (done.verdict, trail(done), done.not_run) == (Verdict.FAIL, [(1, "FAIL")], (2, 3))
    assert "step 3 needs a person" in done.sentence


def test_the_output_of_a_failed_step_is_shown(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("command", ["vectorfleet runbook check", "true && vectorfleet runbook check | tail -n 1"])
def test_the_interpreter_of_the_runner_runs_vectorfleet(tmp_path: Path, command: str) -> None:
    for name in ("python", "python3", "vectorfleet"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 9\n")
        (tmp_path / name).chmod(0o755)
    ran = Shell(ROOT, {"PATH": f"{tmp_path}:/usr/bin:/bin"}).run(command, time.monotonic() + 60)
    assert (ran.exit_code, "0 problems" in ran.output) == (0, True), ran.output


def test_then_skips_steps_that_only_failures_need(tmp_path: Path) -> None:
    found = page(
        step(1, "true", "If not: go to 2", "Then: go to 3"),
        step(2, "false", "If not: go to 3"),
        step(3, "true", "If not: go to 2", "Then: done"),
    )
    assert trail(run(found, tmp_path)) == [(1, "PASS"), (3, "PASS")]


def test_a_limited_jump_is_taken_as_often_as_it_says(tmp_path: Path) -> None:
    again = "If not: go to 1, at most 2 times, then go to 2"
    done = run(page(step(1, "echo x >> n; false", again, "Then: done"), step(2, "", PERSON)), tmp_path)
    assert trail(done) == [(1, "FAIL")] * 3
    assert (tmp_path / "n").read_text().count("x") == 3


def test_an_exhausted_budget_kills_the_whole_process_group(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > child; sleep 60"
    done = run(page(step(1, script, "If not: go to 2", "Then: done", budget="0.5s"), step(2, "", PERSON)), tmp_path)
    assert "budget of 0.5s ran out" in done.visits[0].reason
    assert done.visits[0].ended - done.visits[0].began < 5
    eventually(lambda: ended(int((tmp_path / "child").read_text())))


def test_a_step_leaves_nothing_running(tmp_path: Path) -> None:
    done = run(
        page(step(1, "sleep 60 & echo $! > child", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path
    )
    assert done.verdict is Verdict.PASS
    eventually(lambda: ended(int((tmp_path / "child").read_text())))


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
def test_an_expectation_is_checked(tmp_path: Path, expect: str, script: str, met: bool) -> None:
    done = run(page(step(1, script, "If not: go to 2", "Then: done", expect=expect), step(2, "", PERSON)), tmp_path)
    assert (done.visits[0].verdict is Verdict.PASS) == met, done.visits[0].reason


def test_within_checks_until_the_expectation_is_met(tmp_path: Path) -> None:
    script = "test -f b && echo yes || { test -f a && touch b; touch a; echo no; }"
    expect = f"`{script}` prints `yes` within budget"
    found = page(step(1, "true", "If not: go to 2", "Then: done", expect=expect, budget="20s"), step(2, "", PERSON))
    assert run(found, tmp_path).verdict is Verdict.PASS


def test_within_gives_up_at_its_own_time(tmp_path: Path) -> None:
    expect = "`echo no` prints `yes` within 1.5s"
    found = page(step(1, "true", "If not: go to 2", "Then: done", expect=expect, budget="30s"), step(2, "", PERSON))
    done = run(found, tmp_path)
    assert "printed `no`" in done.visits[0].reason
    assert 1.4 < done.visits[0].ended - done.visits[0].began < 10


def test_without_within_one_check_decides(tmp_path: Path) -> None:
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


def test_the_operator_may_do_a_step_by_hand(tmp_path: Path) -> None:
    found = page(step(1, "touch a", "If not: go to 2"), step(2, "true", "If not: go to 1", "Then: done"))
    done = run(found, tmp_path, answers("done", "run"))
    assert [(visit.by, visit.verdict.value) for visit in done.visits] == [("person", "PASS"), ("runner", "PASS")]
    assert not (tmp_path / "a").exists()


def test_the_operator_may_report_a_failure(tmp_path: Path) -> None:
    done = run(page(step(1, "true", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path, answers("failed"))
    assert trail(done) == [(1, "FAIL")]


def test_the_operator_may_end_the_run(tmp_path: Path) -> None:
    done = run(page(step(1, "true", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path, answers("abort"))
    assert done.verdict is Verdict.ABORTED
    assert not unfinished(tmp_path / "journal.jsonl")


def test_an_interrupt_is_recorded_and_raised_again(tmp_path: Path) -> None:
    def interrupted(_step: object) -> Answer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(page(step(1, "true", "If not: go to 2", "Then: done"), step(2, "", PERSON)), tmp_path, interrupted)
    assert read_records(tmp_path / "journal.jsonl")[-1]["verdict"] == "ABORTED"
