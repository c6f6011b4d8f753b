from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtests.recall import ADDED, is_original, rank, recall_while_growing
from loadtests.writer import Documents
from runbooks import canaries

TRUTH = [f"aws/{letter}" for letter in "abcdefghij"]
scores = st.lists(st.floats(0, 1, allow_nan=False), unique=True, min_size=1, max_size=40)


def recall(answer: list[str], truth: list[str], k: int, prefix: str, beside: tuple[str, ...] = ()) -> float | None:
    """With every document of a load test known to be written."""
    return recall_while_growing(rank(answer, truth, k, prefix, beside), k, lambda one: one.startswith("load/"))


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


def test_what_tests_and_drills_write_is_original_of_no_corpus() -> None:
    (loaded,) = Documents((("title", "text", ""),), 1).batch(0, 1)
    (beacon,) = canaries.beacons("drill", 1)
    for source_id in (loaded["source_id"], beacon.source_id):
        assert source_id.startswith(ADDED)
        assert not is_original(source_id, "")
    assert is_original("loads", "")
    assert is_original("aws/a", "aws/")
    assert not is_original("guide/a", "aws/")
    assert recall(["load/1/0", "guide"], ["guide", "other"], 2, "") == 1.0


def test_only_what_was_written_counts_as_arrived_meanwhile() -> None:
    strangers = [f"elsewhere/{number}" for number in range(9)]
    assert recall([TRUTH[0], *strangers], TRUTH, 10, "aws/") == 0.1
    assert recall([TRUTH[0], *(f"load/1/{number}" for number in range(9))], TRUTH, 10, "aws/") == 1.0
    assert recall(["load/1/0"] * 9 + [TRUTH[0]], TRUTH, 10, "aws/") == 1 / 9


def test_what_stood_beside_the_truth_may_stand_there() -> None:
    answer = ["guide/1", *TRUTH[:9]]
    assert recall(answer, TRUTH, 10, "aws/", beside=("guide/1", "guide/2")) == 1.0
    assert recall(answer, TRUTH, 10, "aws/") == 0.9
