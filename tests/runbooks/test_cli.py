"""The verbs as a person calls them: exit codes, sentences instead of tracebacks, JSON beside tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runbooks.__main__ import main
from runbooks.drills.settings import PAGES, RB_02


def call(*words: str, keys: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=keys)


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["fleet", "--nonsense"],
        ["fleet", "--field", "colour"],
        ["fleet", "--outputs", "/nowhere/outputs.json"],
        ["show", "RB-99"],
        ["wait"],
        ["probe", "--window", "soon"],
        ["drill", "RB-99"],
        ["drill", "--outputs", "/nowhere/outputs.json"],
        ["observe", "--endpoint", "http://127.0.0.1:9"],
        ["position"],
        ["position", "--at", "yesterday"],
        ["position", "--at", "2026-11-24T14:05:00"],
    ],
)
def test_a_mistake_in_the_call_exits_64_with_a_sentence(words: list[str]) -> None:
    result = call(*words)
    assert result.exit_code == 64
    assert "Error: " in result.output
    assert "Traceback" not in result.output


def test_help_is_no_mistake() -> None:
    assert call("--help").exit_code == 0
    assert call("drill", "--help").exit_code == 0


def test_a_fleet_that_does_not_answer_is_a_failure(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    values = {"fleet": "f", "region": "r", "slot": "blue", "endpoint": "http://127.0.0.1:9", "shards": 1}
    outputs.write_text(json.dumps(values | {"cells": [], "alarms": {}}))
    result = call("fleet", "--outputs", str(outputs))
    assert result.exit_code == 1
    assert "does not answer" in result.output


def test_a_fleet_says_of_each_shard_how_far_it_lags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    outputs = tmp_path / "outputs.json"
    values = {"fleet": "f", "region": "r", "slot": "blue", "endpoint": "http://127.0.0.1:9", "shards": 4}
    outputs.write_text(json.dumps(values | {"cells": [], "alarms": {}}))
    said = call("fleet", "--outputs", str(outputs)).output.splitlines()
    assert said[-5:-1] == [
        "Lag behind the documents log's head, position 1000, which may have grown: it was last found 20 s ago: "
        "610 positions, 80 s",
        "Shard 1 is indexing: a reason; it lags by 610 positions, 75 s (39%), 10 positions a second, about 1m1s left",
        "Shard 2 is indexing: a reason; it lags by 610 positions, 75 s (39%), 10 positions a second, "
        "it comes no nearer to the head",
        "Shard 3 is standing: a reason; it lags by 610 positions, 80 s",
    ]
    replaced = call("replace", "--role", "indexer", "--outputs", str(outputs))
    assert (replaced.exit_code, "indexer_group" in replaced.output) == (64, True)


def test_a_position_needs_the_documents_bucket(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    values = {"fleet": "f", "region": "r", "slot": "blue", "endpoint": "http://127.0.0.1:9", "shards": 1}
    outputs.write_text(json.dumps(values | {"cells": [], "alarms": {}}))
    result = call("position", "--outputs", str(outputs), "--at", "2026-11-24T14:05:00Z")
    assert result.exit_code == 64
    assert "documents_bucket" in result.output


def test_restoring_entries_needs_both_buckets(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    values = {"fleet": "f", "region": "r", "slot": "blue", "endpoint": "http://127.0.0.1:9", "shards": 1}
    outputs.write_text(json.dumps(values | {"cells": [], "alarms": {}, "index_bucket": "i"}))
    result = call("restore-entry", "--outputs", str(outputs))
    assert result.exit_code == 64
    assert "lacks the stack outputs documents_bucket, index_bucket" in result.output


def test_check_covers_every_page() -> None:
    result = call("check")
    assert result.exit_code == 0
    assert f"{len(list(PAGES.glob('RB-*.md')))} pages checked, 0 problems" in result.output


def test_check_fails_on_a_broken_page_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "RB-02-x.md"
    page.write_text(RB_02.read_text().replace("python -m runbooks fleet\n", "python -m runbooks flet\n", 1))
    result = call("check", str(page))
    assert result.exit_code == 1
    assert "no verb `flet`" in result.output
    (problem,) = json.loads(call("check", "--json", str(page)).output)
    assert problem["line"] == page.read_text().splitlines().index("python -m runbooks flet") + 1


def test_show_prints_the_page_as_it_stands() -> None:
    assert call("show", "RB-02").output == RB_02.read_text()


@pytest.mark.usefixtures("outputs_in_environment")
def test_walk_asks_at_each_step_and_keeps_the_time(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    result = call("walk", "RB-02", "--journal", str(journal), keys="d\nd\nd\nd\nd\n")
    assert result.exit_code == 0, result.output
    assert "PASS: RB-02 ran to its end" in result.output
    assert call("walk", "RB-02", "--journal", str(journal), keys="a\n").exit_code == 4


@pytest.mark.usefixtures("outputs_in_environment")
def test_walk_runs_this_python_and_shows_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `python` is elsewhere, and also where a step passes."""
    (tmp_path / "python").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(PAGES.parent)
    page = tmp_path / "RB-08-x.md"
    page.write_text(
        "# RB-08 X\n- Use when: `…-x` rings.\n- Customer sees: x.\n- Do not use when: x.\n- Target: RTO 5m, RPO 0s\n"
        "## 1. Look\n```sh\npython -m runbooks check --json\n```\n- Expect: exit 0\n- Budget: 1m\n- If not: go to 2\n"
        "- Then: done\n## 2. Call\n- Person: call.\n"
    )
    result = call("walk", str(page), "--journal", str(tmp_path / "journal.jsonl"), keys="r\n")
    assert (result.exit_code, "     []\n" in result.output) == (0, True), result.output


@pytest.mark.usefixtures("outputs_in_environment")
def test_walk_leads_to_the_person_when_a_step_fails(tmp_path: Path) -> None:
    result = call("walk", "RB-02", "--journal", str(tmp_path / "j"), keys="d\nd\nf\n")
    assert result.exit_code == 1
    assert "page the owner" in result.output


@pytest.mark.usefixtures("outputs_in_environment")
def test_an_unfinished_walk_is_not_begun_again_by_accident(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    call("walk", "RB-02", "--journal", str(journal), keys="d\nd\nd\nd\nd\n")
    journal.write_text("\n".join(journal.read_text().splitlines()[:3]) + "\n")
    again = call("walk", "RB-02", "--journal", str(journal), keys="d\n")
    assert (again.exit_code, "--resume" in again.output) == (64, True)
    assert call("walk", "RB-02", "--journal", str(journal), "--resume", keys="d\nd\nd\nd\n").exit_code == 0


@pytest.fixture
def outputs_in_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "outputs.json"
    values = {"fleet": "f", "region": "r", "slot": "blue", "endpoint": "http://127.0.0.1:9", "shards": 1}
    path.write_text(json.dumps(values | {"cells": [], "alarms": {}}))
    monkeypatch.setenv("VECTORFLEET_OUTPUTS", str(path))
