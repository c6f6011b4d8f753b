"""What the verbs say and how they exit: nobody's mistake shows a traceback or looks like a verdict."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from loadtests import commands
from loadtests.__main__ import main
from loadtests.corpus import Document
from tests.loadtests.memory_fleet import MemoryFleet

GOLDEN = """
- id: stop
  question: stop my machine
  operations: [ec2:StopInstances]
"""


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> MemoryFleet:
    found = MemoryFleet()
    name = "aws/ec2/2016-11-15/StopInstances"
    found.documents[name] = Document(name, "EC2: stop instances", "stop my machine")
    monkeypatch.setattr(commands, "Client", lambda endpoint: found)
    return found


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "golden.yaml"
    path.write_text(GOLDEN)
    return path


def test_golden_prints_its_figures_as_json_and_keeps_a_baseline(
    fleet: MemoryFleet, questions: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["golden", "--endpoint", "http://x", "--questions", str(questions), "--json"]
    first = CliRunner().invoke(main, [*arguments, "--save", str(kept)])
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["relevance"] == 1.0
    again = CliRunner().invoke(main, [*arguments, "--baseline", str(kept)])
    assert again.exit_code == 0
    assert json.loads(again.stdout)["differences"] == []


def test_golden_exits_with_one_where_the_baseline_differs(fleet: MemoryFleet, questions: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["golden", "--endpoint", "http://x", "--questions", str(questions)]
    CliRunner().invoke(main, [*arguments, "--save", str(kept)])
    fleet.documents.clear()
    differing = CliRunner().invoke(main, [*arguments, "--baseline", str(kept)])
    assert differing.exit_code == 1
    assert "no longer answered: stop" in differing.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "x", "--outputs", "/nowhere/outputs.json"], "Give --endpoint"),
        (["search", "x", "--k", "0"], "0 is not in the range"),
        (["golden", "--endpoint", "http://127.0.0.1:1", "--baseline", "/nowhere/b.json"], "is no golden baseline"),
        (["ingest", "--endpoint", "http://127.0.0.1:1", "--services", "nosuch"], "nosuch"),
        (["nothing"], "No such command"),
    ],
)
def test_a_mistake_is_a_sentence_and_no_verdict(arguments: list[str], sentence: str) -> None:
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == commands.USAGE_EXIT_CODE
    assert sentence in said.stderr
    assert "Traceback" not in said.output


def test_an_endpoint_comes_from_the_stack_outputs_unless_it_is_given(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text('{"endpoint": "http://fleet"}')
    assert commands.endpoint_of(None, outputs) == "http://fleet"
    assert commands.endpoint_of("http://other", outputs) == "http://other"
    outputs.write_text("[]")
    with pytest.raises(click.ClickException, match="no endpoint"):
        commands.endpoint_of(None, outputs)
