from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.corpus import ADDED, is_original
from loadtests.judge.recall import Ledger, look_up, recall_while_growing
from loadtests.run.documents import Documents
from loadtests.run.evidence import WriteBatch
from loadtests.run.queries import Query, QuerySet
from runbooks.observe import canaries
from service.client import ServiceError, Unanswered

TRUTH = [f"aws/{letter}" for letter in "abcdefghij"]
scores = st.lists(st.floats(0, 1, allow_nan=False), unique=True, min_size=1, max_size=40)


def recall(answer: list[str], truth: list[str], k: int, prefix: str, beside: tuple[str, ...] = ()) -> float | None:
    """With every document of a load test known to be written."""
    ranking = QuerySet((Query("q", tuple(truth), beside=beside),), k, prefix).ranking(0, answer)
    assert ranking is not None
    return recall_while_growing(ranking, k, lambda one: one.startswith("load/"))


def ranked(documents: dict[str, float]) -> list[str]:
    return sorted(documents, key=lambda source_id: -documents[source_id])


@given(scores, scores, st.integers(1, 10), st.data())
def test_exact_answer_over_a_grown_collection_has_full_recall(
    old_scores: list[float], new_scores: list[float], k: int, data: st.DataObject
) -> None:
    """Brute force: the ranking of old and new documents together against the ranking of the old alone."""
    old = {f"aws/{number}": score for number, score in enumerate(old_scores)}
    new = {f"load/{number}": score for number, score in enumerate(new_scores) if score not in old_scores}
    answer, truth = ranked(old | new)[:k], ranked(old)[:10]
    expected = None if all(source_id.startswith("load/") for source_id in answer[:k]) and len(answer) == k else 1.0
    assert recall(answer, truth, k, "aws/") == expected
    if expected and (lost := data.draw(st.sampled_from(answer))).startswith("aws/"):
        damaged = ["aws/wrong" if source_id == lost else source_id for source_id in answer]
        places = min(k - sum(source_id.startswith("load/") for source_id in answer), len(truth))
        assert recall(damaged, truth, k, "aws/") == (places - 1) / places


@given(st.lists(st.sampled_from([*TRUTH, "aws/x", "aws/y"]), unique=True, min_size=10, max_size=10))
def test_without_new_documents_it_is_recall_at_k(answer: list[str]) -> None:
    assert recall(answer, TRUTH, 10, "aws/") == len(set(answer) & set(TRUTH)) / 10


def test_short_answer_loses_recall() -> None:
    assert recall(TRUTH[:4], TRUTH, 10, "aws/") == 0.4
    assert recall([], TRUTH, 10, "aws/") == 0.0


def test_repeated_document_counts_once() -> None:
    assert recall([TRUTH[0]] * 10, TRUTH, 10, "aws/") == 0.1


def test_old_document_hidden_by_a_new_one_below_it_is_missed() -> None:
    answer = [*TRUTH[1:10], "load/1/0"]
    assert recall(answer, TRUTH, 10, "aws/") == 8 / 9


def test_nothing_old_left_cannot_be_judged() -> None:
    assert recall([f"load/1/{n}" for n in range(10)], TRUTH, 10, "aws/") is None


def test_small_collection_is_judged_by_what_it_has() -> None:
    assert recall(TRUTH[:3], TRUTH[:3], 10, "aws/") == 1.0


def test_documents_of_tests_and_drills_are_never_original() -> None:
    (loaded,) = Documents((("title", "text", ""),), 1).batch(0, 1)
    (beacon,) = canaries.beacons("drill", 1)
    for source_id in (loaded["source_id"], beacon.source_id):
        assert source_id.startswith(ADDED)
        assert not is_original(source_id, "")
    assert is_original("loads", "")
    assert is_original("aws/a", "aws/")
    assert not is_original("guide/a", "aws/")
    assert recall(["load/1/0", "guide"], ["guide", "other"], 2, "") == 1.0


def test_only_a_written_document_counts_as_added() -> None:
    strangers = [f"elsewhere/{number}" for number in range(9)]
    assert recall([TRUTH[0], *strangers], TRUTH, 10, "aws/") == 0.1
    assert recall([TRUTH[0], *(f"load/1/{number}" for number in range(9))], TRUTH, 10, "aws/") == 1.0
    assert recall(["load/1/0"] * 9 + [TRUTH[0]], TRUTH, 10, "aws/") == 1 / 9


def test_documents_beside_the_truth_may_stand_there() -> None:
    answer = ["guide/1", *TRUTH[:9]]
    assert recall(answer, TRUTH, 10, "aws/", beside=("guide/1", "guide/2")) == 1.0
    assert recall(answer, TRUTH, 10, "aws/") == 0.9


@pytest.mark.parametrize(
    ("source_id", "by", "written"),
    [
        ("load/3/10", 500.0, True),
        ("load/3/11", 499.1, True),
        ("load/3/10", 400.0, False),
        ("load/3/10", None, True),
        ("load/3/12", 500.0, False),
        ("load/3/20", 500.0, False),
        ("load/4/10", 500.0, False),
        ("load/1/1", 0.0, True),
        ("elsewhere", 500.0, False),
    ],
)
def test_a_document_is_written_from_when_it_was_sent(source_id: str, by: float | None, written: bool) -> None:
    """Also without an answer to its write; a batch that found no room was never sent."""
    batches = [WriteBatch(10, 4.0, 2, 0, 5.0, sent_at=500.0), WriteBatch(20, 4.0, 2, 0, None)]
    assert Ledger(3, batches, ["load/1/1"]).written(source_id, by) == written


class Directory:
    """Holds some documents, and answers a number of look-ups."""

    def __init__(self, *held: str, answers: int = 100, error: Exception | None = None) -> None:
        self._held, self._answers, self._error = held, answers, error or Unanswered("gone")
        self.asked: list[list[str]] = []

    def lookup(self, source_ids: Sequence[str]) -> dict[str, Any]:
        self.asked.append(list(source_ids))
        if len(self.asked) > self._answers:
            raise self._error
        return {"documents": {one: {"position": 1} if one in self._held else None for one in source_ids}}


def test_documents_of_tests_and_drills_are_looked_up_in_parts() -> None:
    directory = Directory("load/1/0", "load/1/1500", "vectorfleet/canary/1", "guide/1")
    asked = [*(f"load/1/{number}" for number in range(1501)), "guide/1", "vectorfleet/canary/1"]
    assert look_up(directory.lookup, asked) == ["load/1/0", "load/1/1500", "vectorfleet/canary/1"]
    assert [len(part) for part in directory.asked] == [1000, 502]


@pytest.mark.parametrize("error", [Unanswered("gone"), ServiceError(503, "starting", "", None)])
def test_a_document_without_an_answer_counts_as_absent(error: Exception) -> None:
    directory = Directory("load/1/0", "load/1/1200", answers=1, error=error)
    assert look_up(directory.lookup, (f"load/1/{number}" for number in range(3000))) == ["load/1/0"]
    assert len(directory.asked) == 2
