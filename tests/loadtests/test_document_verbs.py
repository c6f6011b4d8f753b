"""Output and exit codes of the verbs: a mistake shows no traceback and is not a verdict."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from loadtests import options
from loadtests.corpora.corpus import Document
from loadtests.errors import LoadTestError
from loadtests.run.queries import load_queries
from tests.loadtests.memory_fleet import MemoryFleet
from tests.stack_outputs import written
from vectorfleet.door import main
from vectorfleet.exit_codes import ExitCode

NOWHERE = ("--endpoint", "http://127.0.0.1:1")
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
    monkeypatch.setattr(options, "Client", lambda endpoint, **_: found)
    return found


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "golden.yaml"
    path.write_text(GOLDEN)
    return path


@pytest.mark.parametrize(
    "verb", [["search", "stop my machine"], ["golden"], ["ingest"], ["load", "truth", "queries.jsonl"]]
)
def test_a_verb_asks_the_named_slot(verb: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(endpoint: str, **given: str) -> None:
        raise LoadTestError(f"asked slot {given['slot'] or 'any'}")

    monkeypatch.setattr(options, "Client", asked)
    for slot, said in ((["--slot", "green"], "asked slot green"), ([], "asked slot any")):
        done = CliRunner().invoke(main, [*verb, *slot, "--endpoint", "http://x"], catch_exceptions=True)
        assert said in f"{done.output} {done.exception}"
    refused = CliRunner().invoke(main, [*verb, "--slot", "red", "--endpoint", "http://x"])
    assert (refused.exit_code, "'blue', 'green'" in refused.output) == (ExitCode.USAGE, True)


def test_golden_prints_its_figures_as_json_and_keeps_a_baseline(
    fleet: MemoryFleet, questions: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["golden", "--endpoint", "http://x", "--json"]
    first = CliRunner().invoke(main, [*arguments, "--questions", str(questions), "--save", str(kept)])
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["relevance"] == 1.0
    # The baseline keeps its questions, so their file is not needed.
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
    assert "holds no document of the corpus aws; ingest it, or name another corpus with --corpus" in refused.stderr
    assert not kept.exists()


def test_a_custom_corpus_is_ingested_asked_and_its_truth_saved(fleet: MemoryFleet, tmp_path: Path) -> None:
    corpus, asked, truth = tmp_path / "guide.jsonl", tmp_path / "guide.yaml", tmp_path / "truth.jsonl"
    texts = [f"page {number}" for number in range(20)] + ["rotate a key"]
    corpus.write_text("".join(json.dumps({"source_id": f"g{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    asked.write_text("- {id: key, question: rotate a key, documents: [g20]}")
    chosen = ["--endpoint", "http://x", "--corpus", str(corpus)]
    written = CliRunner().invoke(main, ["ingest", *chosen, "--json"])
    assert json.loads(written.stdout)["written"] == 21
    found = CliRunner().invoke(main, ["golden", *chosen, "--questions", str(asked), "--json"])
    assert json.loads(found.stdout)["relevance"] == 1.0
    done = CliRunner().invoke(main, ["load", "truth", str(truth), *chosen, "--questions", str(asked)])
    assert done.exit_code == 0, done.output
    queries = load_queries(str(truth), 10)
    assert (queries.prefix, queries.queries[0].truth[0]) == ("g", "g20")
    alone = CliRunner().invoke(main, ["golden", *chosen])
    assert "guide.jsonl has no golden questions; name a file of them with --questions" in alone.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "x", "--outputs", "/nowhere/outputs.json"], "Or give --endpoint"),
        (["search", "x", "--k", "0"], "0 is not in the range"),
        (["golden", *NOWHERE, "--baseline", "/nowhere/b.json"], "is not a golden baseline"),
        (["ingest", *NOWHERE, "--services", "nosuch"], "nosuch"),
        (
            ["ingest", *NOWHERE, "--corpus", "nosuch"],
            "--corpus nosuch is unknown. Choose aws, python, or a file that ends in .jsonl.",
        ),
        (["ingest", *NOWHERE, "--corpus", "/nowhere/a.jsonl"], "a.jsonl cannot be read"),
        (
            ["ingest", *NOWHERE, "--corpus", "python", "--services", "ec2"],
            "--services is for the corpus aws, and --corpus is python",
        ),
        (["golden", *NOWHERE, "--corpus", "python", "--baseline", "b.json"], "leave out --corpus and --questions"),
        (["golden", *NOWHERE, "--questions", "q.yaml", "--baseline", "b.json"], "leave out --corpus and --questions"),
        (["load", "truth", "t.jsonl", *NOWHERE, "--corpus", "nosuch"], "--corpus nosuch is unknown"),
        (["bench", "vectors", "v.npy", "--corpus", "nosuch"], "--corpus nosuch is unknown"),
        (["nothing"], "No such command"),
    ],
)
def test_a_mistake_exits_with_64_and_a_sentence(arguments: list[str], sentence: str) -> None:
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == ExitCode.USAGE
    assert sentence in said.stderr
    assert "Traceback" not in said.output


def test_endpoint_comes_from_the_outputs_unless_given(tmp_path: Path) -> None:
    outputs = written(tmp_path, endpoint="http://fleet")
    assert options.endpoint_of(None, outputs) == "http://fleet"
    assert options.endpoint_of("http://other", outputs) == "http://other"
    outputs.write_text("[]")
    with pytest.raises(click.ClickException, match="Or give --endpoint"):
        options.endpoint_of(None, outputs)
