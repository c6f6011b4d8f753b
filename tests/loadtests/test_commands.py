"""What the verbs say and how they exit: nobody's mistake shows a traceback or looks like a verdict."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from loadtests import commands, load_commands
from loadtests.__main__ import main
from loadtests.corpora.corpus import Document
from loadtests.queries import load_queries
from tests.loadtests.memory_fleet import MemoryFleet
from vectorfleet.exit_codes import ExitCode

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
    monkeypatch.setattr(commands, "Client", lambda endpoint, collection="": found)
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
    arguments = ["golden", "--endpoint", "http://x", "--json"]
    first = CliRunner().invoke(main, [*arguments, "--questions", str(questions), "--save", str(kept)])
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["relevance"] == 1.0
    # What the baseline asked is asked again, wherever the questions are by now.
    questions.unlink()
    again = CliRunner().invoke(main, [*arguments, "--baseline", str(kept)])
    assert again.exit_code == 0
    assert json.loads(again.stdout)["differences"] == []


def test_golden_exits_with_one_where_the_baseline_differs(fleet: MemoryFleet, questions: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["golden", "--endpoint", "http://x"]
    CliRunner().invoke(main, [*arguments, "--questions", str(questions), "--save", str(kept)])
    fleet.documents.clear()
    differing = CliRunner().invoke(main, [*arguments, "--baseline", str(kept)])
    assert differing.exit_code == 1
    assert "no longer answered: stop" in differing.stderr


def test_a_fleet_without_the_corpus_is_no_baseline(fleet: MemoryFleet, questions: Path, tmp_path: Path) -> None:
    fleet.documents = {"guide/1": Document("guide/1", "", "stop my machine")}
    kept = tmp_path / "kept.json"
    arguments = ["golden", "--endpoint", "http://x", "--questions", str(questions), "--save", str(kept)]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == ExitCode.USAGE
    assert "holds no document of the corpus aws; ingest it, or name another one with --corpus" in refused.stderr
    assert not kept.exists()


def test_a_corpus_of_ones_own_is_ingested_asked_and_written_down(
    fleet: MemoryFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_commands, "Client", lambda endpoint, collection="": fleet)
    corpus, asked, truth = tmp_path / "guide.jsonl", tmp_path / "guide.yaml", tmp_path / "truth.jsonl"
    texts = [f"page {number}" for number in range(20)] + ["rotate a key"]
    corpus.write_text("".join(json.dumps({"source_id": f"g{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    asked.write_text("- {id: key, question: rotate a key, documents: [g20]}")
    chosen = ["--endpoint", "http://x", "--corpus", str(corpus)]
    written = CliRunner().invoke(main, ["ingest", *chosen, "--json"])
    assert json.loads(written.stdout)["written"] == 21
    found = CliRunner().invoke(main, ["golden", *chosen, "--questions", str(asked), "--json"])
    assert json.loads(found.stdout)["relevance"] == 1.0
    done = CliRunner().invoke(main, ["truth", str(truth), *chosen, "--questions", str(asked)])
    assert done.exit_code == 0, done.output
    queries = load_queries(str(truth), 10)
    assert (queries.prefix, queries.queries[0].truth[0]) == ("g", "g20")
    alone = CliRunner().invoke(main, ["golden", *chosen])
    assert "guide.jsonl has no golden questions; name a file of them with --questions" in alone.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "x", "--outputs", "/nowhere/outputs.json"], "Give --endpoint"),
        (["search", "x", "--k", "0"], "0 is not in the range"),
        (["golden", "--endpoint", "http://127.0.0.1:1", "--baseline", "/nowhere/b.json"], "is no golden baseline"),
        (["ingest", "--endpoint", "http://127.0.0.1:1", "--services", "nosuch"], "nosuch"),
        (
            ["ingest", "--endpoint", "http://127.0.0.1:1", "--corpus", "nosuch"],
            "'nosuch' is no corpus; there are aws and",
        ),
        (["ingest", "--endpoint", "http://127.0.0.1:1", "--corpus", "/nowhere/a.jsonl"], "cannot be read as a corpus"),
        (
            ["ingest", "--endpoint", "http://127.0.0.1:1", "--corpus", "python", "--services", "ec2"],
            "--services is for the corpus aws, not for python",
        ),
        (["golden", "--corpus", "python", "--baseline", "b.json"], "leave --corpus and --questions out"),
        (["golden", "--questions", "q.yaml", "--baseline", "b.json"], "leave --corpus and --questions out"),
        (["truth", "t.jsonl", "--corpus", "nosuch"], "'nosuch' is no corpus"),
        (["vectors", "v.npy", "--corpus", "nosuch"], "'nosuch' is no corpus"),
        (["nothing"], "No such command"),
    ],
)
def test_a_mistake_is_a_sentence_and_no_verdict(arguments: list[str], sentence: str) -> None:
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == ExitCode.USAGE
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
