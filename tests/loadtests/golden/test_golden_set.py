"""The golden set's figures, and what counts as a difference after a recovery."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.corpora.corpus import Document
from loadtests.corpora.questions import Question
from loadtests.golden import golden_set as module
from loadtests.golden.golden_set import BaselineError, Golden, PartialError, ask, load, save
from runbooks.observe.canaries import PREFIX as CANARIES
from tests.loadtests.memory_fleet import MemoryFleet

QUESTIONS = (
    Question("stop", "stop my machine", frozenset({"ec2:StopInstances"})),
    Question("never", "paint my machine", frozenset({"ec2:PaintInstances"})),
)


def fleet_of(count: int, **options: list[str]) -> MemoryFleet:
    fleet = MemoryFleet(**options)
    for number in range(count):
        name = f"aws/ec2/2016/Operation{number:03d}"
        fleet.documents[name] = Document(name, "", "my machine")
    fleet.documents["aws/ec2/2016/StopInstances"] = Document("aws/ec2/2016/StopInstances", "", "stop my machine")
    return fleet


def test_relevance_is_of_exact_answers_recall_of_the_graph() -> None:
    found = ask(fleet_of(20, graph_misses=["aws/ec2/2016/StopInstances"]), QUESTIONS, "aws/")
    assert (found.relevance, found.served_relevance) == (0.5, 0.0)
    assert found.found == ["stop"]
    # One of ten is missed by each question's first ten that holds it.
    assert found.recall == pytest.approx(0.95)


def test_added_documents_push_no_original_out_of_the_ten() -> None:
    fleet = fleet_of(20)
    before = ask(fleet, QUESTIONS, "aws/")
    for number in range(200):
        fleet.documents[f"a-load/{number}"] = Document(f"a-load/{number}", "", "stop my machine paint")
    after = ask(fleet, QUESTIONS, "aws/")
    assert after.differences(before) == []
    assert after.answers == before.answers


def test_a_partial_answer_is_asked_again_and_never_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTIAL_PAUSE_SECONDS", 0.0)
    fleet = fleet_of(20)
    fleet.partial_answers = 3
    assert ask(fleet, QUESTIONS, "aws/").relevance == 0.5
    fleet.partial_answers = 1_000
    with pytest.raises(PartialError, match="not every shard answered 'stop my machine'"):
        ask(fleet, QUESTIONS, "aws/")


def test_each_kind_of_difference_is_a_sentence() -> None:
    before = ask(fleet_of(20), QUESTIONS, "aws/")
    assert before.differences(before) == []
    assert replace(before, recall=0.5).differences(before) == ["recall is 0.500, at least 0.95 is needed"]
    assert replace(before, questions=1).differences(before) == ["1 questions were asked, 2 before"]
    assert replace(before, found=[]).differences(before) == ["no longer answered: stop"]
    assert replace(before, found=["stop", "never"]).differences(before) == ["newly answered: never"]
    other = replace(before, answers=before.answers | {"stop": ["aws/ec2/2016/Operation000"]})
    assert other.differences(before) == ["1 questions have other exact answers, such as stop"]


def test_a_baseline_says_which_questions_to_ask(tmp_path: Path) -> None:
    before = ask(fleet_of(20), QUESTIONS[:1], "aws/")
    save(before, tmp_path / "golden.json")
    kept = load(tmp_path / "golden.json")
    assert kept == before
    assert kept.asked_questions() == QUESTIONS[:1]
    assert kept.prefix == "aws/"


def test_documents_of_load_tests_never_count_as_originals() -> None:
    fleet = fleet_of(20)
    fleet.documents["guide"] = Document("guide", "", "stop my machine now")
    question = Question("guide", "stop my machine now", documents=frozenset({"guide"}))
    before = ask(fleet, [question], "")
    assert before.found == ["guide"]
    for number in range(20):
        for name in (f"load/1/{number}", f"{CANARIES}/x/beacon/{number}"):
            fleet.documents[name] = Document(name, "", "stop my machine now")
    assert ask(fleet, [question], "").answers == before.answers


def test_a_bad_baseline_is_refused_with_the_remedy(tmp_path: Path) -> None:
    good = Golden(1, 1.0, 1.0, 1.0, ["a"], {"a": ["b"]}, "aws/", []).to_json()
    (tmp_path / "golden.json").write_text('{"relevance": 1}')
    (tmp_path / "asked.json").write_text(json.dumps(good | {"asked": [{"id": "a"}]}))
    for name in ("golden.json", "asked.json", "missing.json"):
        with pytest.raises(BaselineError, match=r"is not a golden baseline .*--save"):
            load(tmp_path / name)


def test_a_baseline_can_be_written_and_read_as_json(tmp_path: Path) -> None:
    golden = Golden(1, 1.0, 1.0, 1.0, ["a"], {"a": ["b"]}, "aws/", [])
    save(golden, tmp_path / "g.json")
    assert load(tmp_path / "g.json").to_json() == golden.to_json()
