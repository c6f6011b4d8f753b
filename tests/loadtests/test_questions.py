from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpus import Corpus
from loadtests.questions import (
    GoldenSetError,
    Question,
    load,
    operation_of,
    recall,
    relevance,
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


def test_every_operation_of_the_golden_set_exists() -> None:
    questions = load(known=Corpus().operation_names())
    assert len(questions) >= 120
    assert len(services(questions)) >= 50


def test_no_question_is_asked_twice() -> None:
    asked = [question.question.casefold() for question in load()]
    assert len(set(asked)) == len(asked)


def test_questions_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = golden(tmp_path, entry("b") + entry("a", operations="[ec2:StopInstances, s3:PutObject]"))
    first, second = load(path)
    assert first == Question("b", "why?", frozenset({"ec2:StopInstances"}))
    assert second.id == "a"
    assert services([first, second]) == {"ec2", "s3"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (entry("twin") + entry("twin"), "the id twin is used twice"),
        (entry(operations="[]"), "question one must list at least one operation"),
        (entry(operations="ec2:StopInstances"), "question one must list at least one operation"),
        (
            entry(operations="[StopInstances]"),
            "question one lists 'StopInstances'; write it as service:Operation",
        ),
        (entry(operations="[7]"), "question one lists 7; write it as service:Operation"),
        (entry(question="''"), "the question of question one must be a text that is not empty"),
        (entry(name="12"), "the id of question 12 must be a text that is not empty"),
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


@pytest.mark.parametrize("known", [{"ec2": {"RunInstances"}}, {}])
def test_an_operation_that_does_not_exist_is_refused(tmp_path: Path, known: dict[str, set[str]]) -> None:
    with pytest.raises(GoldenSetError, match="question one lists ec2:StopInstances, which is no documented"):
        load(golden(tmp_path, entry()), known=known)


def test_an_operation_is_named_by_its_source_id() -> None:
    assert operation_of("aws/ec2/2016-11-15/TerminateInstances") == "ec2:TerminateInstances"
    assert operation_of("param/ec2/2016-11-15/TerminateInstances.DryRun") is None
    assert operation_of("something else") is None


def test_any_api_version_of_an_accepted_operation_is_relevant() -> None:
    assert relevant([MISS, HIT], TERMINATE)
    assert not relevant([MISS, "param/ec2/2016-11-15/TerminateInstances.DryRun"], TERMINATE)
    assert not relevant(["aws/opsworks/2013-02-18/TerminateInstances"], TERMINATE)
    assert not relevant([], TERMINATE)


def test_relevance_counts_the_first_ten_hits_only() -> None:
    assert relevance([(TERMINATE, [HIT]), (TERMINATE, [MISS])]) == 0.5
    assert relevance([(TERMINATE, [MISS] * 9 + [HIT])]) == 1.0
    assert relevance([(TERMINATE, [MISS] * 10 + [HIT])]) == 0.0
    with pytest.raises(ValueError, match="at least one"):
        relevance([])


def test_recall_is_the_share_of_the_exact_hits() -> None:
    assert recall(["a", "b", "x"], ["a", "b", "c", "d"]) == 0.5
    assert recall([], ["a"]) == 0.0
    assert recall(["a"], []) == 1.0


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_recall_is_a_share_and_whole_for_the_exact_hits_themselves(some: list[str], exact: list[str]) -> None:
    assert 0.0 <= recall(some, exact) <= 1.0
    assert recall([*some, *exact], exact) == 1.0
