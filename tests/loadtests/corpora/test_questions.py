from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.questions import (
    GoldenSetError,
    Question,
    load,
    operation_of,
    recall,
    refuse_unknown,
    relevant,
    services,
)

TERMINATE = Question("gone", "get rid of it", frozenset({"ec2:TerminateInstances", "lightsail:DeleteInstance"}))
HIT = "aws/ec2/2014-10-01/TerminateInstances"
MISS = "aws/ec2/2016-11-15/StopInstances"


def golden(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "golden.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def entry(name: str = "one", question: str = "why?", operations: str = "[ec2:StopInstances]") -> str:
    return f"- id: {name}\n  question: {question}\n  operations: {operations}\n"


def test_questions_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = golden(tmp_path, entry("b") + entry("a", operations="[ec2:StopInstances, s3:PutObject]"))
    first, second = load(path)
    assert first == Question("b", "why?", frozenset({"ec2:StopInstances"}))
    assert second.id == "a"
    assert services([first, second]) == {"ec2", "s3"}
    assert services([Question("c", "why?", documents=frozenset({HIT, "guide/7"}))]) == {"ec2"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (entry("twin") + entry("twin"), "the id twin is used twice"),
        (entry(operations="[]"), "question one must list at least one of the operations that answer it"),
        (entry(operations="ec2:StopInstances"), "question one must list at least one of the operations that answer it"),
        (
            entry(operations="[StopInstances]"),
            "question one lists 'StopInstances'; write it as service:Operation",
        ),
        (entry(operations="[7]"), "question one lists 7; write it as service:Operation"),
        (entry().replace("operations", "answers"), "documents (source_ids)"),
        (entry() + "  documents: [a]\n", "must have exactly id, question and operations (service:Operation) or"),
        (entry().replace("operations: [ec2:StopInstances]", "documents: []"), "at least one of the documents"),
        (entry().replace("operations: [ec2:StopInstances]", "documents: [7]"), "lists 7; write it as a source_id"),
        (entry(question="''"), "the question of question one must be a string that is not empty"),
        (entry(name="12"), "the id of question 12 must be a string that is not empty"),
        ("- id: one\n  question: why?\n", "question one must have exactly id, question and operations"),
        (entry() + "  note: more\n", "question one must have exactly id, question and operations"),
        ("- just text\n", "the entry 'just text' must have exactly"),
        ("id: one\n", "must be a list of questions"),
        ("", "must be a list of questions"),
        ("- id: [\n", "line 2"),
    ],
)
def test_a_faulty_file_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = golden(tmp_path, text)
    with pytest.raises(GoldenSetError) as refusal:
        load(path)
    assert sentence in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoldenSetError, match=r"nothing\.yaml cannot be read"):
        load(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("known", [set(), {"aws/ec2/1/RunInstances"}, {"guide/1"}])
def test_unknown_documents_are_refused_by_question(known: set[str]) -> None:
    file = Path("golden.yaml")
    accepted = Question("one", "why?", documents=frozenset({"guide/7"}))
    with pytest.raises(GoldenSetError, match=r"golden\.yaml: question one lists guide/7, which is not a document"):
        refuse_unknown([accepted], known, file)
    refuse_unknown([accepted], known | {"guide/7"}, file)
    with pytest.raises(GoldenSetError, match="question gone lists ec2:TerminateInstances"):
        refuse_unknown([TERMINATE], {*known, "aws/lightsail/1/DeleteInstance"}, file)
    refuse_unknown([TERMINATE], {*known, "aws/lightsail/1/DeleteInstance", HIT}, file)


def test_documents_are_accepted_by_their_source_id(tmp_path: Path) -> None:
    (question,) = load(golden(tmp_path, "- {id: one, question: why, documents: [guide/7, 'a: b']}"))
    assert question.documents == {"guide/7", "a: b"}
    assert relevant(["guide/1", "a: b"], question)
    assert not relevant(["guide/1", "guide/77"], question)


@given(st.text(), st.text(), st.frozensets(st.text()), st.frozensets(st.text()))
def test_a_question_survives_json(name: str, text: str, operations: frozenset[str], documents: frozenset[str]) -> None:
    question = Question(name, text, operations, documents)
    assert Question.from_json(json.loads(json.dumps(question.to_json()))) == question


def test_an_operation_is_named_by_its_source_id() -> None:
    assert operation_of("aws/ec2/2016-11-15/TerminateInstances") == "ec2:TerminateInstances"
    assert operation_of("param/ec2/2016-11-15/TerminateInstances.DryRun") is None
    assert operation_of("something else") is None


def test_any_api_version_of_an_accepted_operation_is_relevant() -> None:
    assert relevant([MISS, HIT], TERMINATE)
    assert not relevant([MISS, "param/ec2/2016-11-15/TerminateInstances.DryRun"], TERMINATE)
    assert not relevant(["aws/opsworks/2013-02-18/TerminateInstances"], TERMINATE)
    assert not relevant([], TERMINATE)


def test_recall_is_the_share_of_the_exact_hits() -> None:
    assert recall(["a", "b", "x"], ["a", "b", "c", "d"]) == 0.5
    assert recall([], ["a"]) == 0.0
    assert recall(["a"], []) == 1.0


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_recall_is_a_share_and_1_for_the_exact_hits(some: list[str], exact: list[str]) -> None:
    assert 0.0 <= recall(some, exact) <= 1.0
    assert recall([*some, *exact], exact) == 1.0
