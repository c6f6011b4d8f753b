"""The verbs of runbooks: exit codes, sentences instead of tracebacks, JSON beside tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runbooks.drills.settings import RB_02
from runbooks.fleet.status import FleetError
from runbooks.pages.page import PAGES
from tests.runbooks.small_pages import PERSON, step, text
from tests.stack_outputs import TWO_SLOTS, written
from vectorfleet.door import main


def call(*words: str, keys: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=keys)


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["fleet", "--nonsense"],
        ["fleet", "--field", "colour"],
        ["fleet", "--outputs", "/nowhere/outputs.json"],
        ["runbook", "show", "RB-99"],
        ["wait"],
        ["probe", "--window", "soon"],
        ["drill", "run", "RB-99"],
        ["drill", "run", "--outputs", "/nowhere/outputs.json"],
        ["drill", "observe", "--endpoint", "http://127.0.0.1:9"],
        ["position"],
        ["position", "--at", "yesterday"],
        ["position", "--at", "2026-11-24T14:05:00"],
    ],
)
def test_a_wrong_call_exits_64_with_a_sentence(words: list[str]) -> None:
    result = call(*words)
    assert result.exit_code == 64
    assert "Error: " in result.output
    assert "Traceback" not in result.output


def test_help_is_no_mistake() -> None:
    assert call("--help").exit_code == 0
    assert call("drill", "run", "--help").exit_code == 0


def test_a_fleet_that_does_not_answer_is_a_failure(tmp_path: Path) -> None:
    outputs = written(tmp_path, endpoint="http://127.0.0.1:9")
    result = call("fleet", "--outputs", str(outputs))
    assert result.exit_code == 1
    assert "does not answer" in result.output


def test_fleet_shows_the_lag_of_each_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lag(state: str, seconds: float, eta: float | None) -> dict[str, object]:
        place = {"position": 390, "positions": 610, "seconds": seconds, "positions_per_second": 10.0}
        return place | {"state": state, "reason": "a reason", "eta_seconds": eta}

    lags = [
        lag("current", 0.4, None),
        lag("indexing", 75.2, 61.2),
        lag("indexing", 75.2, None),
        lag("standing", 80, None),
    ]
    shards = [{"shard": shard, "lag": one, "replicas": []} for shard, one in enumerate(lags)]
    status = {"head": 1000, "head_fault": "it was last found 20 s ago", "shards": shards}
    monkeypatch.setattr("service.client.Client.status", lambda _: status)
    outputs = written(tmp_path, endpoint="http://127.0.0.1:9")
    said = call("fleet", "--outputs", str(outputs)).output.splitlines()
    assert said[-5:-1] == [
        "Lag behind the documents log's head, position 1000, which may have grown: it was last found 20 s ago: "
        "610 positions, 80 s",
        "Shard 1 is indexing: a reason; it lags by 610 positions, 75 s (39%), 10 positions a second, about 1m1s left",
        "Shard 2 is indexing: a reason; it lags by 610 positions, 75 s (39%), 10 positions a second, "
        "it comes no nearer to the head",
        "Shard 3 is standing: a reason; it lags by 610 positions, 80 s",
    ]


def test_fleet_asks_the_named_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(endpoint: str, slot: str) -> None:
        raise FleetError(f"asked slot {slot or 'any'}")

    monkeypatch.setattr("runbooks.fleet.status_verb.connect", asked)
    outputs = written(tmp_path, endpoint="http://127.0.0.1:9", slots=TWO_SLOTS)
    assert "asked slot green" in call("fleet", "--outputs", str(outputs), "--slot", "green").output
    assert "asked slot blue" in call("fleet", "--outputs", str(outputs)).output


def test_a_position_needs_the_documents_bucket(tmp_path: Path) -> None:
    outputs = written(tmp_path, endpoint="http://127.0.0.1:9")
    result = call("position", "--outputs", str(outputs), "--at", "2026-11-24T14:05:00Z")
    assert result.exit_code == 64
    assert "documents_bucket" in result.output


def test_restoring_entries_needs_both_buckets(tmp_path: Path) -> None:
    outputs = written(tmp_path, index_bucket="i")
    result = call("restore-entry", "--outputs", str(outputs))
    assert result.exit_code == 64
    assert "lacks the stack outputs documents_bucket, index_bucket" in result.output


def test_check_covers_every_page() -> None:
    result = call("runbook", "check")
    assert result.exit_code == 0
    assert f"{len(list(PAGES.glob('RB-*.md')))} pages checked, 0 problems" in result.output


def test_check_fails_on_a_broken_page_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "RB-02-x.md"
    page.write_text(RB_02.read_text().replace("vectorfleet fleet\n", "vectorfleet flet\n", 1))
    result = call("runbook", "check", str(page))
    assert result.exit_code == 1
    assert "no verb `flet`" in result.output
    (problem,) = json.loads(call("runbook", "check", "--json", str(page)).output)
    assert problem["line"] == page.read_text().splitlines().index("vectorfleet flet") + 1


def test_show_prints_the_page_as_it_stands() -> None:
    assert call("runbook", "show", "RB-02").output == RB_02.read_text()


@pytest.mark.usefixtures("outputs_in_environment")
def test_walk_asks_at_each_step_and_keeps_the_time(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    result = call("runbook", "walk", "RB-02", "--journal", str(journal), keys="d\nd\nd\nd\nd\n")
    assert result.exit_code == 0, result.output
    assert "PASS: RB-02 ran to its end" in result.output
    assert call("runbook", "walk", "RB-02", "--journal", str(journal), keys="a\n").exit_code == 4


@pytest.mark.usefixtures("outputs_in_environment")
def test_walk_runs_its_own_interpreter_and_shows_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another `python` or `vectorfleet` may be first on PATH; the output of a step that passed is shown too."""
    for name in ("python", "vectorfleet"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 9\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(PAGES.parent)
    page = tmp_path / "RB-08-x.md"
    check = step(1, "vectorfleet runbook check --json", "If not: go to 2", "Then: done", budget="1m")
    page.write_text(text(check, step(2, "", PERSON), number=8))
    result = call("runbook", "walk", str(page), "--journal", str(tmp_path / "journal.jsonl"), keys="r\n")
    assert (result.exit_code, "     []\n" in result.output) == (0, True), result.output


@pytest.mark.usefixtures("outputs_in_environment")
def test_walk_leads_to_the_person_when_a_step_fails(tmp_path: Path) -> None:
    result = call("runbook", "walk", "RB-02", "--journal", str(tmp_path / "j"), keys="d\nd\nf\n")
    assert result.exit_code == 1
    assert "page the owner" in result.output


@pytest.mark.usefixtures("outputs_in_environment")
def test_walk_does_not_overwrite_an_unfinished_run(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    call("runbook", "walk", "RB-02", "--journal", str(journal), keys="d\nd\nd\nd\nd\n")
    journal.write_text("\n".join(journal.read_text().splitlines()[:3]) + "\n")
    again = call("runbook", "walk", "RB-02", "--journal", str(journal), keys="d\n")
    assert (again.exit_code, "--resume" in again.output) == (64, True)
    assert call("runbook", "walk", "RB-02", "--journal", str(journal), "--resume", keys="d\nd\nd\nd\n").exit_code == 0


@pytest.fixture
def outputs_in_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, endpoint="http://127.0.0.1:9")
    monkeypatch.setenv("VECTORFLEET_OUTPUTS", str(path))
