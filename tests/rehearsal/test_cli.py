"""The verb `rehearse`: it refuses what it can't use before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rehearsal import job
from vectorfleet.door import main
from vectorfleet.exit_codes import ExitCode


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "run", lambda *_: 0)


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    path = tmp_path / "guide.jsonl"
    path.write_text(json.dumps({"source_id": "guide/1", "text": "Rotate keys."}) + "\n")
    return path


@pytest.mark.parametrize(
    ("corpus", "questions", "sentence"),
    [
        ("nosuch", None, "--corpus nosuch is unknown"),
        ("nothing.jsonl", None, "nothing.jsonl cannot be read"),
        ("guide.jsonl", None, "has no golden questions; name a file of them with --questions FILE.yaml"),
        (
            "guide.jsonl",
            "- {id: a, question: b, documents: [guide/2]}",
            "question a lists guide/2, which is not a document",
        ),
        ("python", "- {id: a, question: b}", "question a must have exactly id, question and"),
    ],
)
def test_an_unusable_corpus_is_refused_before_anything_starts(
    guide: Path, tmp_path: Path, corpus: str, questions: str | None, sentence: str
) -> None:
    arguments = ["rehearse", "--root", str(tmp_path / "state"), "--corpus", corpus.replace("guide.jsonl", str(guide))]
    if questions:
        (tmp_path / "own.yaml").write_text(questions)
        arguments += ["--questions", str(tmp_path / "own.yaml")]
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == ExitCode.USAGE
    assert sentence in said.output
    assert "Traceback" not in said.output
    assert not (tmp_path / "state").exists()


def test_a_custom_corpus_goes_into_the_job(guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def run(*arguments: Any) -> int:
        given.append(arguments)
        return 3

    monkeypatch.setattr(job, "run", run)
    (tmp_path / "own.yaml").write_text("- {id: a, question: b, documents: [guide/1]}")
    arguments = ["rehearse", "--profile", "short", "--corpus", str(guide), "--questions", str(tmp_path / "own.yaml")]
    assert CliRunner().invoke(main, arguments).exit_code == 3
    ((_, _, profile, corpus),) = given
    assert (profile.name, corpus.name) == ("short", str(guide))
    assert [question.id for question in corpus.questions()] == ["a"]
