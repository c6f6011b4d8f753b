"""The paired golden set: what one slot answers and the other does not."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.slots.comparison import PairedAnswers, paired


def answers(found: list[str], asked: int = 6, **more: float) -> dict[str, object]:
    return {
        "asked": [{"id": f"q{number}"} for number in range(asked)],
        "found": found,
        "relevance": len(found) / asked,
        "recall": 1.0,
    } | more


def test_questions_that_both_answer_say_nothing() -> None:
    pairs = paired(answers(["q0", "q1", "q2"]), answers(["q0", "q1", "q3"]))
    assert (pairs.gained, pairs.lost, pairs.questions) == (("q2",), ("q3",), 6)


def test_slots_asked_different_questions_are_not_paired() -> None:
    with pytest.raises(ValueError, match="6 questions were asked of the one slot and others, 5,"):
        paired(answers([]), answers([], asked=5))


@given(gained=st.integers(0, 6), lost=st.integers(0, 6))
def test_the_p_value_counts_all_signs_as_equally_likely(gained: int, lost: int) -> None:
    signs = list(product((0, 1), repeat=gained + lost))
    as_bad = sum(sum(one) >= lost for one in signs)
    pairs = PairedAnswers(20, ("g",) * gained, ("l",) * lost, 0.9, 1.0)
    assert pairs.p_value == pytest.approx(as_bad / len(signs))
